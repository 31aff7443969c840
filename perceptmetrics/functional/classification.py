"""Agreement between predicted and true classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "accuracy",
    "average_precision",
    "binary_accuracy",
    "confusion_matrix",
    "f1_scores",
    "macro_f1",
    "mean_average_precision",
    "weighted_f1",
]


def accuracy(prediction: ArrayLike, target: ArrayLike) -> float:
    """Fraction of correct predictions.

    Args:
        prediction: N >= 1 classes.
        target: N classes.

    Returns:
        Fraction in [0, 1].
    """
    return float(np.mean(_classes(prediction) == _classes(target)))


def binary_accuracy(probabilities: ArrayLike, target: ArrayLike, positive: Collection[int]) -> float:
    """Fraction of images on the right side when classes are grouped into positive and negative.

    An image counts as positive if its positive classes together are more probable than the others, as in
    `Metric.predict(binary=True)`. The most probable class may lie on the other side.

    Args:
        probabilities: Shape (N, C), with N >= 1; rows need not sum to 1.
        target: N classes.
        positive: The positive classes; all others are negative.

    Returns:
        Fraction in [0, 1].
    """
    rows = np.asarray(probabilities, dtype=float)
    is_positive = np.isin(np.arange(rows.shape[1]), list(positive))
    predicted = rows[:, is_positive].sum(axis=1) > rows[:, ~is_positive].sum(axis=1)
    return float(np.mean(predicted == is_positive[_classes(target)]))


def confusion_matrix(prediction: ArrayLike, target: ArrayLike, count: int) -> NDArray[np.intp]:
    """Count how often each true class was predicted as each class.

    Args:
        prediction: N classes in 0..count-1.
        target: N classes in 0..count-1.
        count: Number C of classes.

    Returns:
        Shape (C, C); rows are true classes, columns predicted classes.

    Examples:
        >>> confusion_matrix([0, 1, 1], [0, 0, 1], 2).tolist()
        [[1, 1], [0, 1]]
    """
    matrix = np.zeros((count, count), dtype=np.intp)
    np.add.at(matrix, (_classes(target), _classes(prediction)), 1)
    return matrix


def f1_scores(confusion: ArrayLike) -> NDArray[np.float64]:
    """F1 score, the harmonic mean of precision and recall, of each class.

    Args:
        confusion: Shape (C, C), from `confusion_matrix`.

    Returns:
        Shape (C,), in [0, 1]; NaN for classes that neither occur nor are predicted.
    """
    matrix = np.asarray(confusion, dtype=float)
    hits, either = np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1)
    return np.asarray(np.divide(2 * hits, either, out=np.full(len(matrix), np.nan), where=either > 0))


def macro_f1(confusion: ArrayLike) -> float:
    """Mean of `f1_scores` over the classes that occur or are predicted.

    Args:
        confusion: Shape (C, C), from `confusion_matrix`, with at least one image.

    Returns:
        Mean in [0, 1].
    """
    return float(np.nanmean(f1_scores(confusion)))


def weighted_f1(confusion: ArrayLike) -> float:
    """Mean of `f1_scores`, each class weighted by how often it occurs.

    Args:
        confusion: Shape (C, C), from `confusion_matrix`, with at least one image.

    Returns:
        Mean in [0, 1].
    """
    occurrences = np.asarray(confusion, dtype=float).sum(axis=1)
    return float(np.average(np.nan_to_num(f1_scores(confusion)), weights=occurrences))


def average_precision(score: ArrayLike, is_class: ArrayLike) -> float:
    """Area under the step curve of precision against recall.

    Sum over thresholds of precision times the gain in recall. Images of equal score pass a threshold together.

    Args:
        score: N numbers, higher for images more likely to belong to the class.
        is_class: N truth values.

    Returns:
        Number in [0, 1]; NaN if no image belongs to the class.
    """
    scores, truth = np.asarray(score, dtype=float), np.asarray(is_class, dtype=bool)
    if not truth.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(truth[order])[last_of_ties]
    precision, recall = hits / (last_of_ties + 1), hits / truth.sum()
    return float(np.sum(precision * np.diff(recall, prepend=0.0)))


def mean_average_precision(probabilities: ArrayLike, target: ArrayLike) -> float:
    """Mean of `average_precision` of each class against the rest, over the classes that occur.

    Args:
        probabilities: Shape (N, C), with N >= 1.
        target: N classes.

    Returns:
        Mean in [0, 1].
    """
    rows, classes = np.asarray(probabilities, dtype=float), _classes(target)
    occurring = np.unique(classes)
    return float(np.mean([average_precision(rows[:, index], classes == index) for index in occurring]))


def _classes(values: ArrayLike) -> NDArray[np.intp]:
    return np.asarray(values, dtype=np.intp)
