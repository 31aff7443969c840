"""Score many images with one or several metrics: decode ahead, batch by size, results in input order.

Memory does not grow with the number of images. The result of an image that cannot be scored holds the reason.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.factory.suite import MetricSuite
from perceptmetrics.images.batch import DEFAULT_BATCH_SIZE, DEFAULT_MAX_PIXELS, Batch, SizeBatcher, Windows
from perceptmetrics.images.decode import decode_ahead
from perceptmetrics.images.given import single_images
from perceptmetrics.images.sources import NamedImage
from perceptmetrics.images.sources.named import name_of
from perceptmetrics.scoring.results import ScoredImage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.metric import Metric

NO_PROMPT = (
    "It came without a text, and a metric compares each image with a text of its own. Score images of a table with a "
    "column of texts."
)

__all__ = ["NO_PROMPT", "ScoreImages", "first_failure", "namesakes", "score_columns", "score_images"]

ScoreImages: TypeAlias = "Callable[[Sequence[Metric], Iterable[ImageSource | NamedImage]], Iterator[ScoredImage]]"
"""A way to score images: `score_images`, perhaps with other limits or with a progress bar."""


def score_columns(metrics: Sequence[Metric]) -> list[str]:
    """Names of the score columns: the metric's name, or `name.label` for each label of a metric with labels.

    Raises:
        InvalidOptionError: A metric is given twice.
    """
    columns = [column for metric in metrics for column in metric.score_columns]
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise InvalidOptionError(
            f"Each metric can be given once; {', '.join(repeated)} would be scored twice. If two metrics of your own "
            'have the same name, give one another: the field "name" of spec.json in its folder.'
        )
    return columns


def namesakes(label: str, columns: Sequence[str]) -> list[str]:
    """The score columns named like a label; all columns if there is none."""
    same = [column for column in columns if column.rpartition(".")[2].lower() == label.lower()]
    return same or list(columns)


def first_failure(failed: Sequence[ScoredImage]) -> str:
    """Why the first image failed, as another sentence of an error message."""
    return f" The first failed because: {failed[0].error}" if failed else ""


def score_images(
    metrics: Sequence[Metric],
    sources: ImageSource | Iterable[ImageSource | NamedImage],
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    workers: int | None = None,
    known: Mapping[str, ScoredImage] | None = None,
) -> Iterator[ScoredImage]:
    """Score a stream of images; each is decoded once for all metrics.

    Args:
        metrics: The metrics.
        sources: Images: `sources.find_sources(["photos/", "shard-{0000..0099}.tar"])`, or whatever `Metric.score`
            takes. Consumed lazily.
        batch_size: Largest number of images of equal size in one forward pass.
        max_pixels: Largest number of pixels in one forward pass; a larger image goes alone.
        workers: Number of decoding threads; 0 for none, None to choose.
        known: Existing rows by name. They are yielded again in order, and their images are not read.

    Yields:
        One result per image, in the order of `sources`.
    """
    suite, columns = MetricSuite(metrics), score_columns(metrics)
    known = {} if known is None else known
    waiting: dict[int, ScoredImage] = {}
    ready: dict[int, ScoredImage] = {}
    texts: dict[int, str] = {}
    batcher, windows = SizeBatcher(batch_size, max_pixels), Windows(batch_size)
    next_index = 0

    def score_all(batches: Iterable[Batch]) -> None:
        for batch in batches:
            prompts = [texts.pop(index) for index in batch.indices]
            rows = _score_batch(suite, columns, batch, [waiting.pop(index) for index in batch.indices], prompts)
            ready.update(zip(batch.indices, rows, strict=True))

    named = (_named(source, index, known) for index, source in enumerate(single_images(sources)))
    for index, decoded in enumerate(decode_ahead(named, workers, suite.decoding)):
        name = decoded.source.name
        if windows.begins(decoded.source.container):
            score_all(batcher.flush())
        prompt = decoded.source.prompt
        if decoded.pixels is not None and suite.reads_prompts and not prompt:
            ready[index] = ScoredImage(name, error=NO_PROMPT, window=windows.number)
        elif decoded.pixels is not None:
            texts[index] = prompt or ""
            waiting[index] = ScoredImage(name, window=windows.number)
            score_all(batcher.add(index, decoded.pixels))
        elif decoded.error is not None:
            ready[index] = ScoredImage(name, error=str(decoded.error), window=windows.number)
        else:
            nothing = ScoredImage(name, error="Expected an image, got nothing (None).", window=windows.number)
            ready[index] = known.get(name, nothing)
        while next_index in ready:
            yield ready.pop(next_index)
            next_index += 1
    score_all(batcher.flush())
    for index in sorted(ready):
        yield ready[index]


def _score_batch(
    suite: MetricSuite, columns: list[str], batch: Batch, images: list[ScoredImage], prompts: list[str]
) -> list[ScoredImage]:
    """Add the scores of a batch to the rows of its images."""
    try:
        rows = suite.score_batch(batch.images, prompts if suite.reads_prompts else None).tolist()
    except InvalidImageError as error:
        return [replace(image, error=str(error)) for image in images]
    return [
        replace(image, scores=dict(zip(columns, row, strict=True))) for image, row in zip(images, rows, strict=True)
    ]


def _named(source: ImageSource | NamedImage, index: int, known: Mapping[str, ScoredImage]) -> NamedImage:
    """Name an image if it has no name, and do not decode it if its score is known."""
    if not isinstance(source, NamedImage):
        source = NamedImage(name_of(source, index), source)
    return replace(source, source=None) if source.name in known else source
