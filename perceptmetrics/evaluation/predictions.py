"""Score the images of a data set, each image once for all metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perceptmetrics.datasets import Scale
from perceptmetrics.errors import DatasetError, InvalidImageError, InvalidOptionError
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import ScoreImages, first_failure, score_columns, score_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perceptmetrics.datasets import ImageItem, LabelledImages
    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.metric import Metric

__all__ = ["Predictions", "check_classes", "class_probabilities", "has_unit", "oriented", "predict_images"]


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Scores of the N images of a data set.

    Attributes:
        columns: Names of the K scores; see `scoring.stream.score_columns`.
        scores: Shape (N, K), raw scores; NaN for an image that could not be scored.
        failed: Images that could not be scored, by their names in the data set.
    """

    columns: tuple[str, ...]
    scores: NDArray[np.float64]
    failed: tuple[ScoredImage, ...]

    def of(self, column: str) -> NDArray[np.float64]:
        """The scores of a column, shape (N,)."""
        return self.scores[:, self.columns.index(column)]


def predict_images(
    metrics: Sequence[Metric], dataset: LabelledImages, scorer: ScoreImages = score_images
) -> Predictions:
    """Score the images of a data set.

    Args:
        metrics: The metrics.
        dataset: The data set.
        scorer: How to score.

    Returns:
        The scores.

    Raises:
        DatasetError: No image could be scored.
    """
    columns = score_columns(metrics)
    sources = _Sources(dataset.images)
    scores = np.full((len(dataset), len(columns)), math.nan)
    reasons: dict[int, str] = {}
    for number, row in enumerate(scorer(metrics, sources)):
        index = sources.indices[number]
        numbers = [row.scores.get(column, math.nan) for column in columns]
        if row.error is None and np.isfinite(numbers).all():
            scores[index] = numbers
        else:
            reasons[index] = row.error or f"its scores are not finite: {numbers}"
    reasons |= sources.failed
    failed = tuple(ScoredImage(dataset.names[index], error=reasons[index]) for index in sorted(reasons))
    if len(failed) == len(dataset):
        raise DatasetError(f"{dataset.name}: none of {len(failed)} images could be scored.{first_failure(failed)}")
    return Predictions(columns=tuple(columns), scores=scores, failed=failed)


def oriented(metric: Metric, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orient scores so that higher is better, like normalised ratings.

    Args:
        metric: The metric that produced them.
        scores: Any shape.

    Returns:
        Same shape. Scores of a bounded metric become fractions of its range, with 1 as the good end; other scores are
        negated if lower is better.
    """
    lower, upper = metric.score_range
    if lower is not None and upper is not None:
        return Scale(lower=lower, upper=upper, higher_is_better=not metric.lower_better).normalise(scores)
    return -scores if metric.lower_better else scores


def has_unit(metric: Metric) -> bool:
    """Whether `oriented` returns fractions of a range, which compare with ratings without a fit."""
    return None not in metric.score_range


def check_classes(metric: Metric, dataset: LabelledImages) -> None:
    """Refuse a metric that does not predict the classes of a data set.

    Raises:
        InvalidOptionError: The metric predicts no probabilities, or those of other classes.
    """
    if not metric.spec.score.map.gives_probabilities:
        raise InvalidOptionError(
            f"{metric.metric_name!r} predicts no probabilities of labels, and {dataset.name} has classes "
            f"({', '.join(dataset.labels)}). Use a metric that predicts them."
        )
    if {label.lower() for label in metric.labels} != {label.lower() for label in dataset.labels}:
        raise InvalidOptionError(
            f"{metric.metric_name!r} predicts {', '.join(metric.labels)}, and {dataset.name} has the classes "
            f"{', '.join(dataset.labels)}. Expected the same labels."
        )


def class_probabilities(metric: Metric, predictions: Predictions, dataset: LabelledImages) -> NDArray[np.float64]:
    """Probabilities of the classes of a data set, in the data set's order.

    Args:
        metric: A metric that `check_classes` accepts.
        predictions: Its scores, among others.
        dataset: A data set of C classes.

    Returns:
        Shape (N, C).
    """
    column_of = {label.lower(): f"{metric.metric_name}.{label}" for label in metric.labels}
    return np.stack([predictions.of(column_of[label.lower()]) for label in dataset.labels], axis=1)


class _Sources:
    """The images of a data set as sources to score; rendered images are rendered one at a time.

    Attributes:
        indices: Index in the data set of each source.
        failed: Why an image could not be rendered, by its index.
    """

    def __init__(self, images: Sequence[ImageItem]) -> None:
        self._images = images
        self.indices: list[int] = []
        self.failed: dict[int, str] = {}

    def __length_hint__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[ImageSource]:
        for index, image in enumerate(self._images):
            source: ImageSource
            if isinstance(image, Path):
                source = image
            else:
                try:
                    source = image.render().permute(1, 2, 0).numpy()
                except InvalidImageError as error:
                    self.failed[index] = str(error)
                    continue
            self.indices.append(index)
            yield source
