"""Where samples come from: images that are read and varied anew, or features that a frozen encoder gave once."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from perceptmetrics.errors import DatasetError, InvalidImageError
from perceptmetrics.images.decode import default_workers
from perceptmetrics.images.load import load_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from typing import TypeVar

    from torch import Tensor

    from perceptmetrics.datasets import ImageItem, LabelledImages
    from perceptmetrics.finetune.augmentation import Sample, TrainingViews
    from perceptmetrics.finetune.batches import Draw

    T = TypeVar("T")

__all__ = ["Feed", "PixelFeed", "in_order", "read_item"]

_AHEAD = 2  # batches


class Feed(Protocol):
    """Gives the samples of a data set."""

    encoded: bool
    """Whether samples are features."""

    def drawn(self, draw: Draw) -> Sample:
        """An image as it is shown in training."""

    def fixed(self, index: int) -> Sample:
        """An image as it is scored."""


class PixelFeed:
    """Reads images. What was read is kept as far as there is room.

    Args:
        dataset: The images.
        views: How they are shown.
        room: Bytes that may be kept in memory.
    """

    encoded = False

    def __init__(self, dataset: LabelledImages, views: TrainingViews, room: int) -> None:
        self._dataset = dataset
        self._views = views
        self._room = room
        self._kept: dict[int, Tensor] = {}
        self._lock = Lock()

    def drawn(self, draw: Draw) -> Sample:
        """See `Feed`."""
        return self._views.draw(self._prepared(draw.index), draw.seed)

    def fixed(self, index: int) -> Sample:
        """See `Feed`."""
        return self._views.fixed(self._prepared(index))

    def _prepared(self, index: int) -> Tensor:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        pixels = self._views.prepare(read_item(self._dataset, index))
        with self._lock:
            if index not in self._kept and pixels.nbytes <= self._room:
                self._room -= pixels.nbytes
                self._kept[index] = pixels
        return pixels


def read_item(dataset: LabelledImages, index: int) -> Tensor:
    """Read an image: shape (3, H, W), uint8, or float32 in [0, 1] when the file has more than 8 bits.

    Raises:
        DatasetError: It cannot be read; the message names data set and image.
    """
    item: ImageItem = dataset.images[index]
    try:
        return load_pixels(item) if isinstance(item, Path) else item.render()
    except InvalidImageError as error:
        raise DatasetError(f"{dataset.name}: the image {dataset.names[index]!r} cannot be used: {error}") from error


def in_order(tasks: Iterable[Sequence[Callable[[], T]]], *, threads: bool = True) -> Iterator[list[T]]:
    """Carry out tasks and give their results back batch by batch.

    Args:
        tasks: The tasks of each batch.
        threads: Whether they are carried out in threads, a few batches ahead; not worth it for features at hand.

    Yields:
        The results of a batch, in order.
    """
    if not threads:
        yield from ([task() for task in batch] for batch in tasks)
        return
    with ThreadPoolExecutor(default_workers(), thread_name_prefix="perceptmetrics-feed") as pool:
        ahead: deque[list[Future[T]]] = deque()
        try:
            for batch in tasks:
                ahead.append([pool.submit(task) for task in batch])
                if len(ahead) > _AHEAD:
                    yield [future.result() for future in ahead.popleft()]
            while ahead:
                yield [future.result() for future in ahead.popleft()]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
