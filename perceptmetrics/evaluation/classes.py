"""How well predicted probabilities agree with classes, such as evoked emotions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.errors import DatasetError, nearest_names
from perceptmetrics.functional.classification import (
    accuracy,
    binary_accuracy,
    confusion_matrix,
    macro_f1,
    mean_average_precision,
    weighted_f1,
)
from perceptmetrics.functional.stats import binomial_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["ClassFigures", "evaluate_classes"]


@dataclass(frozen=True, kw_only=True)
class ClassFigures:
    """Agreement of predicted probabilities with classes.

    Attributes:
        n: Number of images.
        labels: Names of the C classes.
        accuracy: Share of images whose most probable class is the true one.
        accuracy_interval: Its exact 95 % interval.
        binary_accuracy: Share of images on the right side when the classes are summed up as positive and negative; NaN
            where no class is called positive.
        mean_average_precision: Mean over the classes that occur of the average precision of each against the rest.
        macro_f1: Mean F1 over the classes that occur or are predicted.
        weighted_f1: Mean F1 weighted by how often each class occurs.
        confusion: C rows, one for each true class, of how often it was taken for each class.
    """

    n: int
    labels: tuple[str, ...]
    accuracy: float
    accuracy_interval: tuple[float, float]
    binary_accuracy: float
    mean_average_precision: float
    macro_f1: float
    weighted_f1: float
    confusion: tuple[tuple[int, ...], ...]


def evaluate_classes(
    probabilities: ArrayLike, classes: ArrayLike, labels: Sequence[str], positive_labels: Sequence[str] = ()
) -> ClassFigures:
    """Set predicted probabilities against classes.

    Args:
        probabilities: Shape (N, C). With one that is not finite nothing can be said and all figures are NaN.
        classes: Shape (N,), indices into `labels`.
        labels: Names of the C classes.
        positive_labels: Those that are positive, such as the pleasant emotions.

    Returns:
        The figures.

    Raises:
        DatasetError: The shapes or labels do not go together, or there is no image.

    Example:
        >>> figures = evaluate_classes([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], [0, 1, 1], ("awe", "fear"), ("awe",))
        >>> round(figures.accuracy, 3), round(figures.binary_accuracy, 3), figures.confusion
        (0.667, 0.667, ((1, 0), (1, 1)))
    """
    shares, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(classes)
    _check(shares, truth, labels, positive_labels)
    count = len(labels)
    if not np.isfinite(shares).all():
        return _undefined(len(truth), tuple(labels))
    predicted = shares.argmax(axis=1)
    confusion = confusion_matrix(predicted, truth, count)
    positive = [number for number, label in enumerate(labels) if label in positive_labels]
    return ClassFigures(
        n=len(truth),
        labels=tuple(labels),
        accuracy=accuracy(predicted, truth),
        accuracy_interval=binomial_interval(int(np.trace(confusion)), len(truth)),
        binary_accuracy=binary_accuracy(shares, truth, positive) if positive else math.nan,
        mean_average_precision=mean_average_precision(shares, truth),
        macro_f1=macro_f1(confusion),
        weighted_f1=weighted_f1(confusion),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def _undefined(n: int, labels: tuple[str, ...]) -> ClassFigures:
    return ClassFigures(
        n=n,
        labels=labels,
        accuracy=math.nan,
        accuracy_interval=(math.nan, math.nan),
        binary_accuracy=math.nan,
        mean_average_precision=math.nan,
        macro_f1=math.nan,
        weighted_f1=math.nan,
        confusion=((0,) * len(labels),) * len(labels),
    )


def _check(
    shares: NDArray[np.float64], truth: NDArray[np.intp], labels: Sequence[str], positive_labels: Sequence[str]
) -> None:
    if truth.ndim != 1 or not len(truth) or shares.shape != (len(truth), len(labels)):
        raise DatasetError(
            f"Expected probabilities of {len(labels)} classes for each of one or more images, got shape {shares.shape} "
            f"for classes of shape {truth.shape}."
        )
    if truth.min() < 0 or truth.max() >= len(labels):
        raise DatasetError(
            f"Expected classes from 0 to {len(labels) - 1}, the places of {', '.join(labels)}, got {truth.min()} to "
            f"{truth.max()}."
        )
    unknown = [label for label in positive_labels if label not in labels]
    if unknown:
        raise DatasetError(f"There is no class {unknown[0]!r} to be positive. {nearest_names(unknown[0], labels)}")
