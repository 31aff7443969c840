"""Decode ahead: threads read and decode the next images while the model scores the current ones."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import Tensor

from perceptmetrics._util.threads import run_ahead
from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.images.limits import MAX_HELD_BYTES
from perceptmetrics.images.load import ImageSource, load_pixels
from perceptmetrics.images.sources import NamedImage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from perceptmetrics.images.options import DecodeOptions

__all__ = ["Decoded", "decode_ahead", "default_workers"]

_AHEAD_PER_WORKER = 4


T = TypeVar("T", bound="ImageSource | NamedImage")


@dataclass(frozen=True, eq=False)
class Decoded(Generic[T]):
    """A decoded image, or the error; neither if the image was not to be read."""

    source: T
    pixels: Tensor | None
    error: InvalidImageError | None


def default_workers() -> int:
    """Default number of decoding threads: the number of processors, at most 8."""
    return min(8, os.cpu_count() or 1)


def decode_ahead(
    sources: Iterable[T], workers: int | None = None, options: DecodeOptions | None = None
) -> Iterator[Decoded[T]]:
    """Decode images in threads, a bounded number ahead and bounded bytes of those that come encoded.

    Args:
        sources: Anything that `load_pixels` takes, with or without a name; consumed lazily.
        workers: Number of threads; 0 decodes in the calling thread, None means `default_workers()`.
        options: See `load_pixels`.

    Yields:
        One result per source, in order. If an image cannot be read, its result holds the error.

    Raises:
        InvalidOptionError: `workers` is negative.
    """
    workers = default_workers() if workers is None else workers
    if workers < 0:
        raise InvalidOptionError(f"workers must be 0 (decode in the calling thread) or more, got {workers}.")
    tasks = ([partial(_decode, source, options)] for source in sources)
    ahead = _AHEAD_PER_WORKER * workers
    results = run_ahead(
        tasks, workers=workers, ahead=ahead, name="perceptmetrics-decode", weigh=_bytes_of, max_weight=MAX_HELD_BYTES
    )
    with closing(results):
        for (decoded,) in results:
            yield decoded


def _bytes_of(tasks: Sequence[Callable[[], Decoded[T]]]) -> int:
    """How many encoded bytes wait with tasks."""
    sources = (task.args[0] for task in tasks if isinstance(task, partial))
    contents = (source.source if isinstance(source, NamedImage) else source for source in sources)
    return sum(len(content) for content in contents if isinstance(content, (bytes, bytearray)))


def _decode(source: T, options: DecodeOptions | None) -> Decoded[T]:
    if not isinstance(source, NamedImage):
        try:
            return Decoded(source, load_pixels(source, options), None)
        except InvalidImageError as error:
            return Decoded(source, None, error)
    if source.source is None:
        return Decoded(source, None, None)
    if isinstance(source.source, InvalidImageError):
        return Decoded(source, None, source.source)
    try:
        return Decoded(source, load_pixels(source.source, options), None)
    except InvalidImageError as error:
        has_name = str(error).startswith(source.name)
        return Decoded(source, None, error if has_name else InvalidImageError(f"{source.name}: {error}"))
