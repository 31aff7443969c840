"""Scoring many images with one or several metrics: decode ahead, batch by size, results in input order.

Memory does not grow with the number of images. An image that cannot be scored is a result with its reason.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from perceptmetrics.batching import DEFAULT_BATCH_SIZE, DEFAULT_MAX_PIXELS, Batch, SizeBatcher
from perceptmetrics.decoding import decode_ahead
from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.results import ScoredImage
from perceptmetrics.suite import MetricSuite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from perceptmetrics.io import ImageSource
    from perceptmetrics.metric import Metric

__all__ = ["ScoreImages", "first_failure", "namesakes", "score_columns", "score_images"]

ScoreImages: TypeAlias = "Callable[[Sequence[Metric], Iterable[ImageSource]], Iterator[ScoredImage]]"
"""How images are scored: `score_images`, or that with other limits or a progress bar around it."""


def score_columns(metrics: Sequence[Metric]) -> list[str]:
    """Names of the score columns: the metric's name, or `name.label` for each label of a metric with labels.

    Raises:
        InvalidOptionError: A metric is given twice.
    """
    columns = [column for metric in metrics for column in _columns_of(metric)]
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise InvalidOptionError(f"Each metric can be given once; {', '.join(repeated)} would be scored twice.")
    return columns


def namesakes(label: str, columns: Sequence[str]) -> list[str]:
    """The score columns that are called like a label; all columns when none is."""
    same = [column for column in columns if column.rpartition(".")[2].lower() == label.lower()]
    return same or list(columns)


def first_failure(failed: Sequence[ScoredImage]) -> str:
    """Why the first of the images failed, as a further sentence of an error message."""
    return f" The first failed because: {failed[0].error}" if failed else ""


def score_images(
    metrics: Sequence[Metric],
    sources: Iterable[ImageSource],
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    workers: int | None = None,
) -> Iterator[ScoredImage]:
    """Score a stream of images; each is decoded once for all metrics.

    Args:
        metrics: The metrics.
        sources: Images: paths, or anything else that `Metric.score` takes as a single image. Consumed lazily.
        batch_size: Most images of equal size that go through an encoder together.
        max_pixels: Most pixels that go through it together; a larger image goes alone.
        workers: Number of decoding threads; 0 for none, None to choose.

    Yields:
        One result per image, in the order of `sources`.
    """
    suite, columns = MetricSuite(metrics), score_columns(metrics)
    names: dict[int, str] = {}
    ready: dict[int, ScoredImage] = {}
    batcher = SizeBatcher(batch_size, max_pixels)
    next_place = 0

    def score_all(batches: Iterable[Batch]) -> None:
        for batch in batches:
            rows = _score_batch(suite, columns, batch, [names.pop(place) for place in batch.places])
            ready.update(zip(batch.places, rows, strict=True))

    for place, decoded in enumerate(decode_ahead(sources, workers)):
        name = _name(decoded.source, place)
        if decoded.pixels is None:
            ready[place] = ScoredImage(name, error=str(decoded.error))
            score_all(batcher.let_go(place))
        else:
            names[place] = name
            score_all(batcher.add(place, decoded.pixels))
        while next_place in ready:
            yield ready.pop(next_place)
            next_place += 1
    score_all(batcher.flush())
    for place in sorted(ready):
        yield ready[place]


def _score_batch(suite: MetricSuite, columns: list[str], batch: Batch, names: list[str]) -> list[ScoredImage]:
    try:
        rows = suite.score_batch(batch.images).tolist()
    except InvalidImageError as error:
        return [ScoredImage(name, error=str(error)) for name in names]
    return [ScoredImage(name, dict(zip(columns, row, strict=True))) for name, row in zip(names, rows, strict=True)]


def _columns_of(metric: Metric) -> list[str]:
    if not metric.labels:
        return [metric.metric_name]
    return [f"{metric.metric_name}.{label}" for label in metric.labels]


def _name(source: ImageSource, place: int) -> str:
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else f"image {place}"
