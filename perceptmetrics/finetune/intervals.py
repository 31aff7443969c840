"""Intervals of predictions, from the images that a run held out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.functional.conformal import conformal_half_width
from perceptmetrics.spec import IntervalSpec
from perceptmetrics.spec.interval import FEWEST_IMAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from perceptmetrics.datasets import LabelledImages

__all__ = ["COVERAGE", "held_out_interval"]

COVERAGE = 0.9


def held_out_interval(
    dataset: LabelledImages, tested: Sequence[tuple[NDArray[np.intp], NDArray[np.float64]]]
) -> IntervalSpec | None:
    """The interval around scores of new images.

    Images that several splits tested count once, and so do images of one group.

    Args:
        dataset: The data set with its ratings.
        tested: For each split, the indices of its N test images and their scores, shape (N, K).

    Returns:
        The interval; None for classes, for ratings that are comparable only within groups, and where a rating has
        fewer than 30 independent test images or a score is not finite.
    """
    if dataset.ratings is None or dataset.ranks_within_groups:
        return None
    images = np.concatenate([held for held, _ in tested])
    errors = np.abs(np.concatenate([scores for _, scores in tested]) - dataset.ratings[images])
    units = images if dataset.inseparable is None else np.asarray(dataset.inseparable)[images]
    widths, counts = [], []
    for column, ratings in zip(errors.T, dataset.ratings[images].T, strict=True):
        rated = ~np.isnan(ratings)
        counts.append(len(np.unique(units[rated])))
        widths.append(conformal_half_width(column[rated], units[rated], COVERAGE))
    if min(counts) < FEWEST_IMAGES or not np.isfinite(widths).all():
        return None
    return IntervalSpec(coverage=COVERAGE, half_widths=tuple(widths), images=min(counts))
