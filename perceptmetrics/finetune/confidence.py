"""How much an image counts in the loss, from the number of people who rated it and how far they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.recipe_sections import Confidence

__all__ = ["check_confidence", "confidence_sentence", "confidence_weights"]


def check_confidence(datasets: Sequence[LabelledImages], confidence: Confidence) -> None:
    """Refuse a confidence of which no data set knows anything.

    Raises:
        DatasetError: No data set has labels made from several answers, or one has them without standard errors.
    """
    if confidence == "none":
        return
    if not any(dataset.pooled for dataset in datasets):
        raise DatasetError(
            f"confidence: {confidence} weights images by the people who rated them, but the labels of "
            f"{', '.join(dataset.name for dataset in datasets)} come as they are. Give the ratings of each person "
            "(--option rater_column=NAME), or leave confidence out."
        )
    for dataset in datasets:
        for one in dataset.pooled if confidence == "spread" else ():
            if one.errors is None:
                raise DatasetError(
                    f"confidence: spread needs standard errors, which {dataset.name} does not have for "
                    f"{one.label or 'classes'} ({one.sentence}). State confidence: raters, or leave it out."
                )


def confidence_weights(dataset: LabelledImages, confidence: Confidence) -> NDArray[np.float64] | None:
    """The weight of each label.

    Args:
        dataset: The data set.
        confidence: `"raters"` for the number of answers, `"spread"` for the inverse square of the standard error.

    Returns:
        Shape (N, K), or (N, 1) for classes, with a mean of 1 over the images that have the label; None if all count
        the same.
    """
    if confidence == "none" or not dataset.pooled:
        return None
    columns = []
    for one in dataset.pooled:
        weights = one.counts.astype(np.float64)
        if confidence == "spread" and one.errors is not None:
            weights = np.divide(1, one.errors**2, out=np.zeros_like(weights), where=one.counts > 0)
        columns.append(weights / weights[one.counts > 0].mean())
    return np.stack(columns, axis=1)


def confidence_sentence(dataset: LabelledImages, confidence: Confidence) -> str:
    """How much images count, for the plan."""
    weights = confidence_weights(dataset, confidence)
    if weights is None:
        return "every image counts the same"
    given = weights[weights > 0]
    return f"images count {given.min():.2f} to {given.max():.2f} times the mean in the loss (confidence: {confidence})"
