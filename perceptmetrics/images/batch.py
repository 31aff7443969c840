"""Group a stream of images of mixed sizes into batches of one size.

Batching changes speed and memory; scores change by no more than float32 rounding. Memory is bounded however long the
stream is: a batch holds at most `batch_size` images and, unless a single image is larger, `max_pixels` pixels. Images
that wait for others of their size are released once together they exceed `WAITING_BATCHES` such budgets.

Streams are cut into windows of `WAITING_BATCHES * batch_size` images, and no batch crosses the end of a window. So not
even the rounding depends on where a run was interrupted or which machine scored which part.
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
    """Images of one size and their indices in the stream."""

    indices: list[int]
    images: Tensor  # (N, 3, H, W), float32 in [0, 1] or uint8


class _Group(NamedTuple):
    indices: list[int]
    pixels: list[Tensor]

    @property
    def area(self) -> int:
        return sum(image.shape[-2] * image.shape[-1] for image in self.pixels)

    def to_batch(self) -> Batch:
        stacked = torch.stack(self.pixels) if len(self.pixels) > 1 else self.pixels[0][None]
        return Batch(self.indices, stacked)


def window_size(batch_size: int) -> int:
    """Number of consecutive images in a window; no batch crosses the end of one."""
    return WAITING_BATCHES * batch_size


class Windows:
    """Counts the windows of a stream. A window ends after `window_size` images, or where the container changes.

    Args:
        batch_size: Largest number of images in a batch.
    """

    def __init__(self, batch_size: int) -> None:
        self._size = window_size(batch_size)
        self._container: str | None = None
        self._count = 0
        self.number = 0

    def begins(self, container: str | None = None) -> bool:
        """Count the next image.

        Args:
            container: The file of many images that it lies in; None if it is a file itself.

        Returns:
            Whether it begins a window other than the first.
        """
        begins = self._count > 0 and (self._count == self._size or container != self._container)
        self._count = 1 if begins else self._count + 1
        self._container = container
        self.number += begins
        return begins


class SizeBatcher:
    """Collects images until a batch of one size is full or too many wait.

    Args:
        batch_size: Largest number of images in a batch.
        max_pixels: Largest number of pixels (height times width) in a batch; a larger image goes alone.

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

    def add(self, index: int, image: Tensor) -> Iterator[Batch]:
        """Add the image with an index in the stream (ascending), and yield the batches that are due."""
        key = (image.shape, image.dtype)
        group = self._waiting.setdefault(key, _Group([], []))
        group.indices.append(index)
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
        """Yield all waiting images, as at the end of a window."""
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
        images: Pairs of index (ascending) and pixels (3, H, W), as returned by `load_pixels`.
        batch_size: See `SizeBatcher`.
        max_pixels: See `SizeBatcher`.

    Yields:
        Batches. Every image is in exactly one of them.

    Raises:
        InvalidOptionError: A limit is not positive.
    """
    batcher, windows = SizeBatcher(batch_size, max_pixels), Windows(batch_size)
    for index, image in images:
        if windows.begins():
            yield from batcher.flush()
        yield from batcher.add(index, image)
    yield from batcher.flush()
