"""Scores as columns of a Hugging Face data set: in memory, memory-mapped, or streamed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from perceptmetrics.errors import InvalidOptionError, MissingExtraError
from perceptmetrics.images.batch import DEFAULT_BATCH_SIZE, DEFAULT_MAX_PIXELS
from perceptmetrics.integrations.columns import ERROR_COLUMN, MetricsOption, TableScorer

if TYPE_CHECKING:
    import os

    from datasets import Dataset, Features, IterableDataset

__all__ = ["score_dataset"]

_BATCHES_AHEAD = 8  # of a stream, so that images of equal size meet in a batch

AnyDataset = TypeVar("AnyDataset")


def score_dataset(
    dataset: AnyDataset,
    metrics: MetricsOption,
    image_column: str = "image",
    *,
    folder: str | os.PathLike[str] | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    workers: int | None = None,
) -> AnyDataset:
    """Score the images of a data set of the library `datasets`.

    This package decodes the images, not `datasets`, so scores are the same as elsewhere. A streamed data set is scored
    while it is read.

    Args:
        dataset: A `Dataset`, an `IterableDataset`, or a dictionary of one of them by split, as `load_dataset` returns.
        metrics: A metric, a name, or several of them.
        image_column: Column of images: an `Image` feature, paths, addresses, encoded bytes, or in a stream anything
            that `Metric.score` takes as a single image.
        folder: Where relative paths start, a path or an address; None for the working directory.
        batch_size: Largest number of images of equal size in one forward pass.
        max_pixels: Largest number of pixels in one forward pass; a larger image goes alone.
        workers: Number of decoding threads; 0 for none, None to choose.

    Returns:
        The same with further columns: the scores (float32; None where an image failed), named after the metric or, with
        labels, `metric.label`; and `score_error`, None or the reason why an image failed.

    Raises:
        DatasetError: There is no such column, or columns of scores exist already.
        InvalidOptionError: `dataset` or `metrics` is something else.
        MissingExtraError: The library `datasets` is not installed.

    Examples:
        >>> import datasets
        >>> images = datasets.Dataset.from_dict({"image": ["missing.jpg"]})
        >>> score_dataset(images, "lite_iqa")[0]
        {'image': 'missing.jpg', 'lite_iqa': None, 'score_error': 'missing.jpg does not exist.'}
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("score_dataset", "datasets") from error
    parts: dict[str, Any] = dataset if isinstance(dataset, dict) else {"": dataset}
    for part in parts.values():
        if not isinstance(part, (datasets.Dataset, datasets.IterableDataset)):
            raise InvalidOptionError(
                "score_dataset takes what datasets.load_dataset returns (Dataset, IterableDataset, or a dictionary of "
                f"them), got {type(part).__name__}. Other images go to perceptmetrics.scoring.stream.score_images."
            )
    scorer = TableScorer.of(metrics, folder=folder, batch_size=batch_size, max_pixels=max_pixels, workers=workers)
    for part in parts.values():
        if part.column_names is not None:
            scorer.check_columns(image_column, part.column_names)
    scored: Any = {
        name: (_score_stored if isinstance(part, datasets.Dataset) else _score_streamed)(scorer, part, image_column)
        for name, part in parts.items()
    }
    result: AnyDataset = type(dataset)(scored) if isinstance(dataset, dict) else scored[""]
    return result


def _score_stored(scorer: TableScorer, dataset: Dataset, image_column: str) -> Dataset:
    from datasets import Dataset, Features, concatenate_datasets

    plain = dataset.with_format(None)
    images = _undecoded(plain.select_columns([image_column]), image_column)
    columns = scorer.score(row[image_column] for row in images)
    features = _score_features(scorer)
    if len(dataset) == 0:  # concatenate_datasets would not add columns
        both = Features(plain.features | features)
        scored = Dataset.from_dict({name: [] for name in both}, both)
    else:
        scored = concatenate_datasets([plain, Dataset.from_dict(columns, features)], axis=1)
    form = dataset.format
    every = set(form["columns"]) == set(dataset.column_names)
    shown = None if every else [*form["columns"], *columns]
    return scored.with_format(form["type"], shown, form["output_all_columns"], **form["format_kwargs"])


def _score_streamed(scorer: TableScorer, dataset: IterableDataset, image_column: str) -> IterableDataset:
    from datasets import Features

    scored = _undecoded(dataset, image_column).map(
        partial(_score_column, scorer),
        batched=True,
        batch_size=_BATCHES_AHEAD * scorer.batch_size,
        input_columns=[image_column],
    )
    known = dataset.features
    return scored if known is None else scored.cast(Features(known | _score_features(scorer)))


def _score_column(scorer: TableScorer, values: list[object]) -> dict[str, list[Any]]:
    return scorer.score(values)


def _undecoded(dataset: Any, image_column: str) -> Any:
    """The same data set with encoded images, which keeps all bits and leaves decoding to threads."""
    from datasets import Image

    feature = None if dataset.features is None else dataset.features[image_column]
    return dataset.cast_column(image_column, Image(decode=False)) if isinstance(feature, Image) else dataset


def _score_features(scorer: TableScorer) -> Features:
    from datasets import Features, Value

    scores = {column: Value("float32") for column in scorer.score_columns}
    return Features(scores | {ERROR_COLUMN: Value("string")})
