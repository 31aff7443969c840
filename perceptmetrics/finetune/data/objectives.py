"""What training minimises: the loss, how much an image counts in it, and the statistic by which a model is selected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from perceptmetrics.errors import DatasetError
from perceptmetrics.functional.loss import charbonnier_loss, plcc_loss, ranking_loss
from perceptmetrics.functional.stats import srcc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.recipe.training_sections import Confidence, Loss

__all__ = [
    "LOSSES_WITHIN_GROUPS",
    "Objective",
    "can_select",
    "check_confidence",
    "confidence_sentence",
    "confidence_weights",
    "selection_statistic",
]

LOSSES_WITHIN_GROUPS = ("ranking", "relative")
"""Losses for ratings that are comparable only within a group."""

_MARGIN, _SOFTNESS = 0.15, 0.25  # of the ranking loss, in standard deviations of a batch's predictions
_MIN_DIFFERENCE = 1e-6  # ratings closer than this are tied


class Objective:
    """The loss of one data set.

    Args:
        dataset: The data set.
        loss: Name of the loss.
        confidence: How much each image counts.
    """

    def __init__(self, dataset: LabelledImages, loss: Loss, confidence: Confidence = "none") -> None:
        self._loss = loss
        weights = confidence_weights(dataset, confidence)
        self._weights = None if weights is None else torch.from_numpy(weights).float()
        if dataset.classes is not None:
            self._labels = torch.from_numpy(dataset.classes.astype(np.int64))
        elif dataset.ratings is not None:
            self._labels = torch.from_numpy(dataset.ratings).float()
        self._groups: Tensor | None = None
        if dataset.ranks_within_groups and dataset.groups is not None:
            self._groups = torch.from_numpy(np.unique(dataset.groups, return_inverse=True)[1].reshape(-1))

    def fewest(self, least: int) -> int:
        """Samples that the loss needs in a batch: `least` for a correlation or a ranking of all samples, otherwise 1.

        Ladders are kept whole in a batch, so one is enough to be ranked.
        """
        compares = self._loss == "plcc" or (self._loss in LOSSES_WITHIN_GROUPS and self._groups is None)
        return least if compares else 1

    def __call__(self, outputs: Tensor, indices: list[int]) -> Tensor:
        """Compute the loss.

        Args:
            outputs: Raw outputs of a whole batch, shape (N, K).
            indices: Indices of the N images.

        Returns:
            Scalar.
        """
        labels = self._labels[indices].to(outputs.device)
        outputs = outputs.float()
        weights = None if self._weights is None else self._weights[indices].to(outputs.device)
        if self._loss == "cross_entropy":
            if weights is None:
                return F.cross_entropy(outputs, labels)
            return (weights[:, 0] * F.cross_entropy(outputs, labels, reduction="none")).mean()
        groups = None if self._groups is None else self._groups[indices].to(outputs.device)
        fewest = 1 if self._loss in ("mse", "charbonnier") else 2
        columns = [
            self._column(
                outputs[known, column],
                labels[known, column],
                None if groups is None else groups[known],
                None if weights is None else weights[known, column],
            )
            for column in range(labels.shape[1])
            if (known := ~labels[:, column].isnan()).sum() >= fewest
        ]
        return torch.stack(columns).mean() if columns else outputs.sum() * 0

    def _column(self, outputs: Tensor, ratings: Tensor, groups: Tensor | None, weights: Tensor | None) -> Tensor:
        if self._loss == "ranking":
            return _pairwise(outputs, ratings, groups, weights)
        if self._loss == "relative":
            return _relative(outputs, ratings, groups, weights)
        if self._loss == "mse":
            if weights is None:
                return F.mse_loss(outputs, ratings)
            return (weights * F.mse_loss(outputs, ratings, reduction="none")).mean()
        loss = plcc_loss if self._loss == "plcc" else charbonnier_loss
        return loss(outputs, ratings, weight=weights)


def _pairwise(outputs: Tensor, ratings: Tensor, groups: Tensor | None, weights: Tensor | None) -> Tensor:
    """Ranking loss of the pairs whose order is known, on predictions scaled to unit variance.

    Within groups, which are ladders of an increasing degradation, only neighbours are compared, because the order of
    all other pairs follows from theirs. Each pair is weighted by the difference of its ratings. With weights of the
    images, a pair counts as much as their harmonic mean: its difference has the sum of their variances.
    """
    scaled = (outputs - outputs.mean()) / (outputs.std() + 1e-8)
    ordered = ratings[:, None] - ratings[None] > _MIN_DIFFERENCE
    if groups is not None:
        ordered &= groups[:, None] == groups[None]
        steps = ordered.float()
        ordered &= steps @ steps == 0  # no image lies between the two
    better, worse = ordered.nonzero(as_tuple=True)
    if not len(better):
        return outputs.sum() * 0
    weight = None
    if groups is not None:
        difference = ratings[better] - ratings[worse]
        weight = difference / difference.mean()
    if weights is not None:
        certain = 2 / (1 / weights[better] + 1 / weights[worse])
        weight = certain if weight is None else weight * certain
    return ranking_loss(scaled[better], scaled[worse], margin=_MARGIN, softness=_SOFTNESS, weight=weight)


def _relative(outputs: Tensor, ratings: Tensor, groups: Tensor | None, weights: Tensor | None) -> Tensor:
    """Mean squared error after both have been centred within their groups, or over the batch without groups."""
    errors = outputs - ratings
    ones = torch.ones_like(errors)
    members = torch.zeros(len(errors), dtype=torch.long, device=errors.device)
    if groups is not None:
        members = torch.unique(groups, return_inverse=True)[1]
    sums, counts = (torch.zeros_like(errors).index_add(0, members, values) for values in (errors, ones))
    squares = (errors - (sums / counts.clamp(min=1))[members]).square()
    return (squares if weights is None else weights * squares).mean()


def selection_statistic(dataset: LabelledImages, outputs: NDArray[np.float64], indices: NDArray[np.intp]) -> float:
    """Compute the statistic by which models are selected; higher is better.

    Args:
        dataset: The data set.
        outputs: Raw outputs, shape (N, K).
        indices: Indices of the N images.

    Returns:
        Accuracy for classes, otherwise the mean SRCC over the ratings. For images that are comparable only within
        groups, the fraction of pairs in the right order. Ratings that are all equal are left out. NaN where it is
        undefined, for example for outputs that are not finite.
    """
    if not np.isfinite(outputs).all():
        return float("nan")
    if dataset.classes is not None:
        return float((outputs.argmax(axis=1) == dataset.classes[indices]).mean())
    if dataset.ratings is None:
        return float("nan")
    ratings = dataset.ratings[indices]
    if dataset.ranks_within_groups and dataset.groups is not None:
        return _fraction_in_order(outputs, ratings, np.array(dataset.groups)[indices])
    columns = []
    for column in _differing(ratings):
        known = ~np.isnan(ratings[:, column])
        columns.append(srcc(outputs[known, column], ratings[known, column]))
    return float(np.mean(columns)) if columns else float("nan")


def can_select(dataset: LabelledImages, indices: NDArray[np.intp]) -> bool:
    """Whether `selection_statistic` is defined for the labels of these images."""
    if dataset.ratings is None:
        return len(indices) > 0
    ratings = dataset.ratings[indices]
    if dataset.ranks_within_groups and dataset.groups is not None:
        groups = np.array(dataset.groups)[indices]
        return not np.isnan(_fraction_in_order(ratings, ratings, groups))
    return len(_differing(ratings)) > 0


def _differing(ratings: NDArray[np.float64]) -> list[int]:
    """Indices of the columns with at least two different ratings."""
    return [index for index, column in enumerate(ratings.T) if len(np.unique(column[~np.isnan(column)])) > 1]


def _fraction_in_order(outputs: NDArray[np.float64], ratings: NDArray[np.float64], groups: NDArray[np.str_]) -> float:
    """Fraction of the pairs of a group whose ratings differ, in any column, that the outputs have in the same order."""
    right = count = 0
    for group in np.unique(groups):
        inside = groups == group
        ordered = ratings[inside][:, None] - ratings[inside][None] > _MIN_DIFFERENCE
        right += int((ordered & (outputs[inside][:, None] > outputs[inside][None])).sum())
        count += int(ordered.sum())
    return right / count if count else float("nan")


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
