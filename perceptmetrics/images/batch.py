"""Grouping a stream of images of mixed sizes into batches of one size.

Scores do not depend on it beyond float32 rounding; speed and memory do. Memory stays bounded however long the stream
is: a batch holds at most `batch_size` images and, unless a single image is larger, `max_pixels` pixels, and images
that wait for others of their size are let go when together they exceed `WAITING_BATCHES` such budgets.

So that not even rounding depends on where a run was interrupted, or on which machine scored which part, streams are
cut into windows of `WAITING_BATCHES * batch_size` images, and no batch reaches from one window into the next.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import torch

from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

__all__ = [
    "DEFAULT_BATCH_SIZE",
    "DEFAULT_MAX_PIXELS",
    "Batch",
    "SizeBatcher",
    "Windows",
    "batches_by_size",
    "window_size",
]

DEFAULT_BATCH_SIZE = 8
DEFAULT_MAX_PIXELS = 4_000_000
WAITING_BATCHES = 8


class Batch(NamedTuple):
    """Images of one size and their places in the stream."""

    places: list[int]
    images: Tensor  # (N, 3, H, W), float32 in [0, 1] or uint8


class _Group(NamedTuple):
    places: list[int]
    pixels: list[Tensor]

    @property
    def area(self) -> int:
        return sum(image.shape[-2] * image.shape[-1] for image in self.pixels)

    def to_batch(self) -> Batch:
        stacked = torch.stack(self.pixels) if len(self.pixels) > 1 else self.pixels[0][None]
        return Batch(self.places, stacked)


def window_size(batch_size: int) -> int:
    """Number of consecutive images that no batch reaches beyond."""
    return WAITING_BATCHES * batch_size


class Windows:
    """Counts the windows of a stream: each begins after `window_size` images, and where another container begins.

    Args:
        batch_size: Most images in a batch.
    """

    def __init__(self, batch_size: int) -> None:
        self._size = window_size(batch_size)
        self._container: str | None = None
        self._count = 0
        self.number = 0

    def begins(self, container: str | None = None) -> bool:
        """Count the next image; whether a window begins with it, other than the first.

        Args:
            container: The file that holds it among others; None for a file of its own.
        """
        begins = self._count > 0 and (self._count == self._size or container != self._container)
        self._count = 1 if begins else self._count + 1
        self._container = container
        self.number += begins
        return begins


class SizeBatcher:
    """Collects images until a batch of one size is full or too many wait.

    Args:
        batch_size: Most images in a batch.
        max_pixels: Most pixels in a batch, counted over height and width; a larger image goes alone.

    Raises:
        InvalidOptionError: A limit is not positive.
    """

    def __init__(self, batch_size: int = DEFAULT_BATCH_SIZE, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        if batch_size < 1 or max_pixels < 1:
            raise InvalidOptionError(
                f"batch_size and max_pixels must be at least 1, got {batch_size} and {max_pixels}."
            )
        self._batch_size = batch_size
        self._max_pixels = max_pixels
        self._waiting: OrderedDict[tuple[torch.Size, torch.dtype], _Group] = OrderedDict()
        self._area = 0

    def add(self, place: int, image: Tensor) -> Iterator[Batch]:
        """Take an image at a place of the stream (ascending); yields the batches that are due."""
        key = (image.shape, image.dtype)
        group = self._waiting.setdefault(key, _Group([], []))
        group.places.append(place)
        group.pixels.append(image)
        area = image.shape[-2] * image.shape[-1]
        self._area += area
        if len(group.pixels) == self._batch_size or group.area + area > self._max_pixels:
            self._area -= group.area
            yield self._waiting.pop(key).to_batch()
        while self._area > WAITING_BATCHES * self._max_pixels:
            oldest = self._waiting.popitem(last=False)[1]
            self._area -= oldest.area
            yield oldest.to_batch()

    def flush(self) -> Iterator[Batch]:
        """Yield all that waits, as at the end of a window."""
        while self._waiting:
            yield self._waiting.popitem(last=False)[1].to_batch()
        self._area = 0


def batches_by_size(
    images: Iterable[tuple[int, Tensor]],
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Iterator[Batch]:
    """Batch a stream of images.

    Args:
        images: Pairs of place (ascending) and pixels (3, H, W) as `io.load_pixels` returns them.
        batch_size: See `SizeBatcher`.
        max_pixels: See `SizeBatcher`.

    Yields:
        Batches; every image is in exactly one.

    Raises:
        InvalidOptionError: A limit is not positive.
    """
    batcher, windows = SizeBatcher(batch_size, max_pixels), Windows(batch_size)
    for place, image in images:
        if windows.begins():
            yield from batcher.flush()
        yield from batcher.add(place, image)
    yield from batcher.flush()
