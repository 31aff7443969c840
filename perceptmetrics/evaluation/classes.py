"""Agreement of predicted probabilities with classes, such as evoked emotions."""

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

__all__ = ["ClassStatistics", "evaluate_classes"]


@dataclass(frozen=True, kw_only=True)
class ClassStatistics:
    """Agreement of predicted probabilities with classes.

    Attributes:
        n: Number of images.
        labels: Names of the C classes.
        accuracy: Fraction of images whose most probable class is the true one.
        accuracy_interval: Its exact 95 % interval.
        binary_accuracy: Accuracy after the classes are merged into positive and negative; NaN if no class is positive.
        mean_average_precision: Average precision of each class against the rest, averaged over the classes that occur.
        macro_f1: Mean F1 over the classes that occur or are predicted.
        weighted_f1: Mean F1 weighted by how often each class occurs.
        confusion: C rows, one per true class: how often each class was predicted for it.
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
) -> ClassStatistics:
    """Compare predicted probabilities with classes.

    Args:
        probabilities: Shape (N, C). If one is not finite, all statistics are NaN.
        classes: Shape (N,), indices into `labels`.
        labels: Names of the C classes.
        positive_labels: The positive ones, such as the pleasant emotions.

    Returns:
        The statistics.

    Raises:
        DatasetError: The shapes or labels do not match, or there is no image.

    Examples:
        >>> statistics = evaluate_classes([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], [0, 1, 1], ("awe", "fear"), ("awe",))
        >>> round(statistics.accuracy, 3), round(statistics.binary_accuracy, 3), statistics.confusion
        (0.667, 0.667, ((1, 0), (1, 1)))
    """
    given, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(classes)
    _check(given, truth, labels, positive_labels)
    count = len(labels)
    if not np.isfinite(given).all():
        return _undefined(len(truth), tuple(labels))
    predicted = given.argmax(axis=1)
    confusion = confusion_matrix(predicted, truth, count)
    positive = [number for number, label in enumerate(labels) if label in positive_labels]
    return ClassStatistics(
        n=len(truth),
        labels=tuple(labels),
        accuracy=accuracy(predicted, truth),
        accuracy_interval=binomial_interval(int(np.trace(confusion)), len(truth)),
        binary_accuracy=binary_accuracy(given, truth, positive) if positive else math.nan,
        mean_average_precision=mean_average_precision(given, truth),
        macro_f1=macro_f1(confusion),
        weighted_f1=weighted_f1(confusion),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def _undefined(n: int, labels: tuple[str, ...]) -> ClassStatistics:
    return ClassStatistics(
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
    given: NDArray[np.float64], truth: NDArray[np.intp], labels: Sequence[str], positive_labels: Sequence[str]
) -> None:
    if truth.ndim != 1 or not len(truth) or given.shape != (len(truth), len(labels)):
        raise DatasetError(
            f"Expected probabilities of {len(labels)} classes for each of one or more images, got shape {given.shape} "
            f"for classes of shape {truth.shape}."
        )
    if truth.min() < 0 or truth.max() >= len(labels):
        raise DatasetError(
            f"Expected classes from 0 to {len(labels) - 1}, the indices of {', '.join(labels)}, got {truth.min()} to "
            f"{truth.max()}."
        )
    unknown = [label for label in positive_labels if label not in labels]
    if unknown:
        raise DatasetError(f"No class is named {unknown[0]!r} (positive_labels). {nearest_names(unknown[0], labels)}")
