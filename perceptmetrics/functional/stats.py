"""Agreement between predictions and human ratings, and how sure one can be of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit
from scipy.stats import binomtest, kendalltau, pearsonr, spearmanr

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "binomial_interval",
    "bootstrap_interval",
    "fit_logistic4",
    "krcc",
    "logistic4",
    "plcc",
    "rmse",
    "sign_test",
    "srcc",
]


def srcc(prediction: ArrayLike, target: ArrayLike) -> float:
    """Spearman's rank correlation coefficient.

    Args:
        prediction: N numbers.
        target: N numbers.

    Returns:
        Coefficient in [-1, 1]; NaN where all numbers of one side are equal.
    """
    return _unless_constant(spearmanr, prediction, target)


def plcc(prediction: ArrayLike, target: ArrayLike) -> float:
    """Pearson's linear correlation coefficient.

    Args:
        prediction: N numbers.
        target: N numbers.

    Returns:
        Coefficient in [-1, 1]; NaN where all numbers of one side are equal.
    """
    return _unless_constant(pearsonr, prediction, target)


def krcc(prediction: ArrayLike, target: ArrayLike) -> float:
    """Kendall's rank correlation coefficient, tau-b, which corrects for ties.

    Args:
        prediction: N numbers.
        target: N numbers.

    Returns:
        Coefficient in [-1, 1]; NaN where all numbers of one side are equal.
    """
    return _unless_constant(kendalltau, prediction, target)


def rmse(prediction: ArrayLike, target: ArrayLike) -> float:
    """Root of the mean squared error.

    Args:
        prediction: N numbers.
        target: N numbers, in the same unit.

    Returns:
        Error in that unit, 0 or more.
    """
    return float(np.sqrt(np.mean((_floats(prediction) - _floats(target)) ** 2)))


def logistic4(x: ArrayLike, b1: float, b2: float, b3: float, b4: float) -> NDArray[np.float64]:
    """The four-parameter logistic `b2 + (b1 - b2) / (1 + exp(-(x - b3) / |b4|))`.

    Args:
        x: Numbers of any shape.
        b1: Value far to the right.
        b2: Value far to the left.
        b3: Where the value is half-way.
        b4: Width of the rise in units of `x`; its sign does not matter.

    Returns:
        Numbers of the shape of `x`.
    """
    return b2 + (b1 - b2) * np.asarray(expit((_floats(x) - b3) / abs(b4)))


def fit_logistic4(prediction: ArrayLike, target: ArrayLike) -> tuple[float, float, float, float]:
    """Fit `logistic4` by least squares, as image quality assessment does before it reports PLCC and RMSE.

    The curve maps scores to the scale of the ratings, so that a monotone but curved relation is not held against a
    metric (VQEG, "Final report from the Video Quality Experts Group", phase I, 2000; in this form: PerceptCLIP,
    TMLR 2025).

    Args:
        prediction: N >= 5 scores, not all equal.
        target: N ratings.

    Returns:
        `b1, b2, b3, b4`, with b4 > 0; the curve falls when b1 < b2.

    Raises:
        ValueError: There are too few points, or all scores are equal, so that no curve is determined.

    Example:
        >>> curve = fit_logistic4([0, 1, 2, 3, 4, 5], logistic4([0, 1, 2, 3, 4, 5], 90, 10, 2.5, 0.7))
        >>> [round(value, 3) for value in curve]
        [90.0, 10.0, 2.5, 0.7]
    """
    x, y = _floats(prediction), _floats(target)
    spread = float(x.std())
    if x.size < 5 or spread == 0:
        raise ValueError(f"A logistic curve needs at least 5 points of different scores, got {x.size} points.")
    centre, low, height = float(x.mean()), float(y.min()), float(np.ptp(y)) or 1.0
    scaled_x, scaled_y = (x - centre) / spread, (y - low) / height

    def residuals(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        b1, b2, b3, log_b4 = parameters
        return logistic4(scaled_x, b1, b2, b3, float(np.exp(np.clip(log_b4, -20, 20)))) - scaled_y

    ends = (1.0, 0.0) if np.dot(scaled_x, scaled_y - scaled_y.mean()) >= 0 else (0.0, 1.0)
    starts = [(*ends, 0.0, np.log(width)) for width in (0.25, 1.0, 4.0)]
    fits = [least_squares(residuals, start, method="trf", max_nfev=2000) for start in starts]
    b1, b2, b3, log_b4 = min(fits, key=lambda fit: float(fit.cost)).x
    width = float(np.exp(np.clip(log_b4, -20, 20)))
    return float(low + height * b1), float(low + height * b2), float(centre + spread * b3), spread * width


def bootstrap_interval(
    statistic: Callable[..., float],
    *samples: ArrayLike,
    level: float = 0.95,
    repeats: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic: rows are drawn with replacement, the same ones from each sample.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Args:
        statistic: Takes as many arrays as there are samples and returns a number. Draws for which it gives NaN (a
            correlation of draws that are all equal) are left out.
        *samples: N numbers each, paired.
        level: Coverage, between 0 and 1.
        repeats: Number of draws.
        seed: Seed of the draws; the same seed gives the same interval.

    Returns:
        Lower and upper end; NaN when no draw gave a number.

    Example:
        >>> low, high = bootstrap_interval(np.mean, [1.0, 2.0, 3.0, 4.0])
        >>> 1.0 <= low < 2.5 < high <= 4.0
        True
    """
    arrays = [_floats(sample) for sample in samples]
    size = len(arrays[0])
    draws = np.random.default_rng(seed).integers(0, size, (repeats, size))
    values = np.array([statistic(*(array[rows] for array in arrays)) for rows in draws], dtype=np.float64)
    values = values[~np.isnan(values)]
    if values.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def binomial_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a proportion (Clopper and Pearson, Biometrika 26, 1934): never too short.

    Args:
        successes: How often it happened.
        trials: How often it could have happened, 1 or more.
        level: Coverage, between 0 and 1.

    Returns:
        Lower and upper end, in [0, 1].
    """
    interval = binomtest(successes, trials).proportion_ci(confidence_level=level, method="exact")
    return float(interval.low), float(interval.high)


def sign_test(positive: int, negative: int) -> float:
    """Two-sided exact sign test: were both signs equally likely? Ties are left out beforehand.

    Args:
        positive: Number of positive differences.
        negative: Number of negative differences.

    Returns:
        The p-value; 1 when there is no difference at all.
    """
    trials = positive + negative
    return float(binomtest(positive, trials).pvalue) if trials else 1.0


def _unless_constant(coefficient: Callable[..., Any], prediction: ArrayLike, target: ArrayLike) -> float:
    """A correlation without the warning that SciPy gives where it is not defined."""
    x, y = _floats(prediction), _floats(target)
    if x.size and (x.min() == x.max() or y.min() == y.max()):
        return float("nan")
    return float(coefficient(x, y).statistic)


def _floats(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)
