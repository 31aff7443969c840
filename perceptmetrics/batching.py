"""Grouping a stream of images of mixed sizes into batches of one size.

Scores do not depend on it; speed and memory do. Memory stays bounded however long the stream is: a batch
holds at most `batch_size` images and, unless a single image is larger, `max_pixels` pixels, and images that
wait for others of their size are let go when together they exceed `WAITING_BATCHES` such budgets or when the
oldest has been overtaken by `MAX_OVERTAKEN` others.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import torch

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.io import to_unit_float

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

__all__ = ["DEFAULT_BATCH_SIZE", "DEFAULT_MAX_PIXELS", "Batch", "batches_by_size"]

DEFAULT_BATCH_SIZE = 8
DEFAULT_MAX_PIXELS = 4_000_000
WAITING_BATCHES = 8
MAX_OVERTAKEN = 1024


class Batch(NamedTuple):
    """Images of one size and their places in the stream."""

    places: list[int]
    images: Tensor  # (N, 3, H, W), float32 in [0, 1]


class _Group(NamedTuple):
    places: list[int]
    pixels: list[Tensor]

    @property
    def area(self) -> int:
        return sum(image.shape[-2] * image.shape[-1] for image in self.pixels)

    def to_batch(self) -> Batch:
        stacked = torch.stack(self.pixels) if len(self.pixels) > 1 else self.pixels[0][None]
        return Batch(self.places, to_unit_float(stacked))


def batches_by_size(
    images: Iterable[tuple[int, Tensor]],
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Iterator[Batch]:
    """Batch a stream of images.

    Args:
        images: Pairs of place (ascending) and pixels (3, H, W) as `io.load_pixels` returns them.
        batch_size: Most images in a batch.
        max_pixels: Most pixels in a batch, counted over height and width; a larger image goes alone.

    Yields:
        Batches; every image is in exactly one.

    Raises:
        InvalidOptionError: A limit is not positive.
    """
    if batch_size < 1 or max_pixels < 1:
        raise InvalidOptionError(f"batch_size and max_pixels must be at least 1, got {batch_size} and {max_pixels}.")
    waiting: OrderedDict[tuple[torch.Size, torch.dtype], _Group] = OrderedDict()
    waiting_area = 0
    for place, image in images:
        key = (image.shape, image.dtype)
        group = waiting.setdefault(key, _Group([], []))
        group.places.append(place)
        group.pixels.append(image)
        area = image.shape[-2] * image.shape[-1]
        waiting_area += area
        if len(group.pixels) == batch_size or group.area + area > max_pixels:
            waiting_area -= group.area
            yield waiting.pop(key).to_batch()
        while waiting and _must_let_go(waiting, place, waiting_area, max_pixels):
            oldest = waiting.popitem(last=False)[1]
            waiting_area -= oldest.area
            yield oldest.to_batch()
    for group in waiting.values():
        yield group.to_batch()


def _must_let_go(
    waiting: OrderedDict[tuple[torch.Size, torch.dtype], _Group], place: int, area: int, max_pixels: int
) -> bool:
    oldest = next(iter(waiting.values()))
    return area > WAITING_BATCHES * max_pixels or place - oldest.places[0] >= MAX_OVERTAKEN
