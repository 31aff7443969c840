"""Agreement between predictions and human ratings, with confidence intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binomtest, kendalltau, pearsonr, spearmanr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "binomial_interval",
    "bootstrap_interval",
    "holm",
    "krcc",
    "mse",
    "plcc",
    "rmse",
    "sign_test",
    "srcc",
]


ROUNDING = 1e-13
"""Numbers whose relative difference is below this count as equal."""


def srcc(prediction: ArrayLike, target: ArrayLike) -> float:
    """Spearman's rank correlation coefficient.

    Args:
        prediction: N numbers.
        target: N numbers.

    Returns:
        Coefficient in [-1, 1]; NaN if all numbers of one side are equal or one is not finite.
    """
    return _unless_undefined(spearmanr, prediction, target)


def plcc(prediction: ArrayLike, target: ArrayLike) -> float:
    """Pearson's linear correlation coefficient.

    Args:
        prediction: N numbers.
        target: N numbers.

    Returns:
        Coefficient in [-1, 1]; NaN if all numbers of one side are equal or one is not finite.
    """
    return _unless_undefined(pearsonr, prediction, target)


def krcc(prediction: ArrayLike, target: ArrayLike) -> float:
    """Kendall's rank correlation coefficient, tau-b, which corrects for ties.

    Args:
        prediction: N numbers.
        target: N numbers.

    Returns:
        Coefficient in [-1, 1]; NaN if all numbers of one side are equal or one is not finite.
    """
    return _unless_undefined(kendalltau, prediction, target)


def mse(prediction: ArrayLike, target: ArrayLike) -> float:
    """Mean squared error.

    Args:
        prediction: N numbers.
        target: N numbers, in the same unit.

    Returns:
        Error in the square of that unit, 0 or more.
    """
    return float(np.mean((np.asarray(prediction, dtype=float) - np.asarray(target, dtype=float)) ** 2))


def rmse(prediction: ArrayLike, target: ArrayLike) -> float:
    """Root of the mean squared error.

    Args:
        prediction: N numbers.
        target: N numbers, in the same unit.

    Returns:
        Error in that unit, 0 or more.
    """
    return float(np.sqrt(mse(prediction, target)))


def bootstrap_interval(
    statistic: Callable[..., float],
    *samples: ArrayLike,
    level: float = 0.95,
    repeats: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic. Rows are drawn with replacement, the same ones from every sample.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. With the same generator
    `scipy.stats.bootstrap(paired=True, method="percentile")` gives the same interval; but it gives NaN as soon as the
    statistic is undefined for a single draw, which is common with few images, and refuses a single row.

    Args:
        statistic: Takes one array per sample and returns a number. Draws for which it returns NaN (such as the
            correlation of equal numbers) are ignored.
        *samples: N numbers each, paired.
        level: Coverage, between 0 and 1.
        repeats: Number of draws.
        seed: Seed of the draws; the same seed gives the same interval.

    Returns:
        Lower and upper end; NaN if no draw gave a number.

    Examples:
        >>> low, high = bootstrap_interval(np.mean, [1.0, 2.0, 3.0, 4.0])
        >>> 1.0 <= low < 2.5 < high <= 4.0
        True
    """
    arrays = [np.asarray(sample, dtype=float) for sample in samples]
    size = len(arrays[0])
    draws = np.random.default_rng(seed).integers(0, size, (repeats, size))
    values = np.array([statistic(*(array[rows] for array in arrays)) for rows in draws], dtype=np.float64)
    values = values[~np.isnan(values)]
    if values.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def binomial_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Exact confidence interval of a proportion (Clopper and Pearson, Biometrika 26, 1934), never too short.

    Args:
        successes: Number of successes.
        trials: Number of trials, 1 or more.
        level: Coverage, between 0 and 1.

    Returns:
        Lower and upper end, in [0, 1].
    """
    interval = binomtest(successes, trials).proportion_ci(confidence_level=level, method="exact")
    return float(interval.low), float(interval.high)


def sign_test(positive: int, negative: int) -> float:
    """Two-sided exact sign test of the hypothesis that both signs are equally likely; drop ties beforehand.

    Args:
        positive: Number of positive differences.
        negative: Number of negative differences.

    Returns:
        The p-value; 1 without any difference.
    """
    trials = positive + negative
    return float(binomtest(positive, trials).pvalue) if trials else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm, "A simple sequentially rejective multiple test procedure", 1979).

    Args:
        p_values: M p-values.

    Returns:
        M corrected ones, in the same order. Those below a level are significant at it, with all of them together: the
        probability of any wrong one among them is at most the level.

    Examples:
        >>> holm([0.01, 0.5, 0.03])
        [0.03, 0.5, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, greatest = [0.0] * len(order), 0.0
    for rank, index in enumerate(order):
        greatest = max(greatest, min(1.0, (len(order) - rank) * p_values[index]))
        corrected[index] = greatest
    return corrected


def _unless_undefined(coefficient: Callable[..., Any], prediction: ArrayLike, target: ArrayLike) -> float:
    """A correlation, without the warning or error of SciPy where it is undefined."""
    x, y = np.asarray(prediction, dtype=float), np.asarray(target, dtype=float)
    if x.shape != y.shape:
        raise ValueError(f"Expected as many predictions as targets, got shapes {x.shape} and {y.shape}.")
    if x.size < 2 or _is_constant(x) or _is_constant(y):
        return float("nan")
    return float(coefficient(x, y).statistic)


def _is_constant(values: NDArray[np.float64]) -> bool:
    """Whether the numbers differ by no more than rounding or are not all finite, so that no correlation is defined."""
    return not np.isfinite(values).all() or float(np.ptp(values)) <= ROUNDING * float(np.abs(values).max())
