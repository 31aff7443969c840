"""Agreement between raters: how much of what they say is about the image, and not about who was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.functional.stats import srcc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["fleiss_kappa", "intraclass_correlation", "rater_correlations"]

FEWEST_IMAGES = 5  # that a rater shares with others, for a correlation that is worth printing


def intraclass_correlation(ratings: ArrayLike, images: ArrayLike) -> tuple[float, float]:
    """Intraclass correlation of a one-way random model: each image may be rated by other people, and by more or fewer.

    Shrout, Fleiss, "Intraclass correlations", Psychological Bulletin 1979, ICC(1, 1) and ICC(1, k); with unequal
    numbers of ratings `k` is replaced by `(M - sum(n_i^2) / M) / (N - 1)`.

    Args:
        ratings: M ratings.
        images: For each, the image that it is of: M integers.

    Returns:
        The fraction of the variance of a single rating that is between images, and of the mean rating of an image. At
        most 1, negative where ratings of one image differ more than those of different images. NaN for fewer than two
        images, where no image has two ratings, and the second one also where all means are equal.

    Examples:
        >>> intraclass_correlation([1, 2, 4, 5], [0, 0, 1, 1])
        (0.8947368421052632, 0.9444444444444444)
    """
    values = np.asarray(ratings, dtype=np.float64)
    _, index, counts = np.unique(np.asarray(images), return_inverse=True, return_counts=True)
    total, groups = len(values), len(counts)
    if groups < 2 or total == groups:
        return float("nan"), float("nan")
    means = np.bincount(index, values) / counts
    between = float((counts * (means - values.mean()) ** 2).sum() / (groups - 1))
    within = float(((values - means[index]) ** 2).sum() / (total - groups))
    size = (total - float((counts**2).sum()) / total) / (groups - 1)
    spread = between + (size - 1) * within
    return (
        (between - within) / spread if spread > 0 else float("nan"),
        (between - within) / between if between > 0 else float("nan"),
    )


def rater_correlations(ratings: ArrayLike, images: ArrayLike, raters: Sequence[str]) -> dict[str, float]:
    """SRCC of each rater with the mean of the others.

    Args:
        ratings: M ratings.
        images: For each, the image that it is of: M integers from 0.
        raters: For each, who gave it.

    Returns:
        The correlation by rater, over the images that others rated too. Raters who share fewer than five images with
        others, or gave all of them the same rating, are left out.
    """
    values, index = np.asarray(ratings, dtype=np.float64), np.asarray(images)
    sums, counts = np.bincount(index, values), np.bincount(index)
    of_rater: dict[str, list[int]] = {}
    for row, rater in enumerate(raters):
        of_rater.setdefault(rater, []).append(row)
    found = {}
    for rater, rows in of_rater.items():
        seen = np.unique(index[rows])
        own_sums = np.bincount(index[rows], values[rows], minlength=len(sums))[seen]
        own_counts = np.bincount(index[rows], minlength=len(sums))[seen]
        shared = counts[seen] > own_counts
        if shared.sum() >= FEWEST_IMAGES:
            own = (own_sums / own_counts)[shared]
            others = ((sums[seen] - own_sums)[shared]) / (counts[seen] - own_counts)[shared]
            found[rater] = srcc(own, others)
    return {rater: value for rater, value in found.items() if not np.isnan(value)}


def fleiss_kappa(votes: NDArray[np.intp]) -> float:
    """Agreement about classes beyond chance; images may have different numbers of votes.

    Fleiss, "Measuring nominal scale agreement among many raters", Psychological Bulletin 1971: `(P - P_e) / (1 - P_e)`,
    where `P` is the fraction of pairs of votes for one image that agree, and `P_e` that of all pairs of votes.

    Args:
        votes: Number of votes for each image and class, shape (N, C).

    Returns:
        At most 1; 0 for agreement by chance. NaN where no image has two votes, or all votes are for one class.
    """
    given = votes.sum(axis=1)
    pairs = float((given * (given - 1)).sum())
    fractions = votes.sum(axis=0) / max(1, votes.sum())
    chance = float((fractions**2).sum())
    if pairs == 0 or chance >= 1:
        return float("nan")
    return (float((votes * (votes - 1)).sum()) / pairs - chance) / (1 - chance)
