"""Agreement of predictions with ratings: the statistics that papers on image quality report."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.errors import DatasetError
from perceptmetrics.evaluation.curves import RatingCurve, fit_rating_curve
from perceptmetrics.functional.stats import bootstrap_interval, krcc, mse, plcc, rmse, srcc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from perceptmetrics.datasets import Scale

__all__ = ["RatingStatistics", "evaluate_ratings", "evaluate_within_groups", "rating_statistics"]

_log = logging.getLogger(__name__)

_NO_CURVE = RatingCurve(kind="none")
_UNDEFINED = (math.nan, math.nan)


@dataclass(frozen=True, kw_only=True)
class RatingStatistics:
    """Agreement of predictions with ratings; NaN where a statistic is undefined.

    Attributes:
        n: Number of images with a rating.
        srcc: Spearman's rank correlation.
        plcc: Pearson's correlation of the raw predictions.
        krcc: Kendall's rank correlation, tau-b.
        plcc_logistic4: Pearson's correlation after `curve4`.
        plcc_logistic5: Pearson's correlation after `curve5`.
        rmse: Root mean squared error of the raw predictions, in the unit of the rating.
        rmse_logistic4: Root mean squared error after `curve4`.
        mse: Mean squared error of the raw predictions, in the squared unit of the rating.
        curve4: Fitted four-parameter logistic from predictions to ratings; `fallback` says if it is a simpler curve.
        curve5: Fitted five-parameter logistic, likewise.
        srcc_interval: 95 % bootstrap interval of `srcc`; None if not requested.
        plcc_interval: 95 % bootstrap interval of `plcc`; None if not requested.
    """

    n: int
    srcc: float
    plcc: float
    krcc: float
    plcc_logistic4: float = math.nan
    plcc_logistic5: float = math.nan
    rmse: float = math.nan
    rmse_logistic4: float = math.nan
    mse: float = math.nan
    curve4: RatingCurve = _NO_CURVE
    curve5: RatingCurve = _NO_CURVE
    srcc_interval: tuple[float, float] | None = None
    plcc_interval: tuple[float, float] | None = None


def evaluate_ratings(
    predictions: ArrayLike, ratings: ArrayLike, *, scale: Scale | None = None, intervals: bool = True, seed: int = 0
) -> RatingStatistics:
    """Compare predictions with ratings. A warning is logged where a curve had to be replaced by a simpler one.

    Args:
        predictions: Shape (N,), higher is better. If one is not finite, all statistics are NaN.
        ratings: Shape (N,), higher is better; images whose rating is NaN are left out.
        scale: The scale, if predictions and ratings are fractions of one, like the ratings of `LabelledImages`. Errors
            are then in its unit.
        intervals: Whether to compute bootstrap intervals.
        seed: Seed of the bootstrap.

    Returns:
        The statistics.

    Raises:
        DatasetError: The shapes differ, or no image has a rating.

    Examples:
        >>> statistics = evaluate_ratings([0.1, 0.4, 0.5, 0.9], [0.2, 0.3, 0.6, 0.8], intervals=False)
        >>> round(statistics.srcc, 3), round(statistics.rmse, 3), statistics.curve4.kind
        (1.0, 0.1, 'linear')
    """
    statistics = rating_statistics(predictions, ratings, scale=scale, intervals=intervals, seed=seed)
    for wanted, curve in (("logistic4", statistics.curve4), ("logistic5", statistics.curve5)):
        if curve.fallback:
            _log.warning("PLCC after %s uses %s instead (%s).", wanted, curve.kind, curve.fallback)
    return statistics


def rating_statistics(
    predictions: ArrayLike,
    ratings: ArrayLike,
    *,
    scale: Scale | None = None,
    comparable: bool = True,
    intervals: bool = True,
    seed: int = 0,
) -> RatingStatistics:
    """Compute the statistics of `evaluate_ratings` without logging warnings.

    Args:
        predictions: See `evaluate_ratings`.
        ratings: See `evaluate_ratings`.
        scale: See `evaluate_ratings`.
        comparable: Whether predictions are in the unit of the ratings, so that errors without a fit are meaningful.
        intervals: See `evaluate_ratings`.
        seed: See `evaluate_ratings`.
    """
    x, y = _rated(predictions, ratings)
    unit = 1.0 if scale is None else scale.upper - scale.lower
    statistics = RatingStatistics(n=len(y), srcc=srcc(x, y), plcc=plcc(x, y), krcc=krcc(x, y))
    finite = bool(np.isfinite(x).all())
    if intervals:
        drawn = [bootstrap_interval(value, x, y, seed=seed) if finite else _UNDEFINED for value in (srcc, plcc)]
        statistics = _with_intervals(statistics, *drawn)
    if not finite:
        return statistics
    curve4, curve5 = fit_rating_curve(x, y, "logistic4"), fit_rating_curve(x, y, "logistic5")
    return replace(
        statistics,
        plcc_logistic4=_plcc_after(curve4, x, y),
        plcc_logistic5=_plcc_after(curve5, x, y),
        rmse=unit * rmse(x, y) if comparable else math.nan,
        rmse_logistic4=unit * rmse(curve4(x), y),
        mse=unit**2 * mse(x, y) if comparable else math.nan,
        curve4=curve4,
        curve5=curve5,
    )


def evaluate_within_groups(
    predictions: ArrayLike, ratings: ArrayLike, groups: Sequence[str], *, intervals: bool = True, seed: int = 0
) -> RatingStatistics:
    """Compare predictions with ratings that are comparable only within a group, such as degradations of one photograph.

    Args:
        predictions: Shape (N,), higher is better.
        ratings: Shape (N,), higher is better; images whose rating is NaN are left out.
        groups: The group of each of the N images.
        intervals: Whether to compute bootstrap intervals, over the groups.
        seed: Seed of the bootstrap.

    Returns:
        Means of the correlations over the groups in which they are defined. There are no curves and no errors.

    Raises:
        DatasetError: The shapes differ, or no image has a rating.
    """
    x, y = _rated(predictions, ratings)
    rated = ~np.isnan(np.asarray(ratings, dtype=np.float64))
    members = np.asarray(groups)[rated]

    def of_groups(coefficient: Callable[[ArrayLike, ArrayLike], float]) -> NDArray[np.float64]:
        values = np.array([coefficient(x[members == group], y[members == group]) for group in np.unique(members)])
        return values[~np.isnan(values)] if np.isfinite(x).all() else np.empty(0)

    coefficients = [of_groups(coefficient) for coefficient in (srcc, plcc, krcc)]
    means = [_mean(values) for values in coefficients]
    statistics = RatingStatistics(n=len(y), srcc=means[0], plcc=means[1], krcc=means[2])
    if not intervals:
        return statistics
    drawn = [bootstrap_interval(_mean, values, seed=seed) for values in coefficients[:2]]
    return _with_intervals(statistics, *drawn)


def _rated(predictions: ArrayLike, ratings: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(predictions, dtype=np.float64), np.asarray(ratings, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise DatasetError(f"Expected a prediction for each rating, shape (N,), got shapes {x.shape} and {y.shape}.")
    rated = ~np.isnan(y)
    if not rated.any():
        raise DatasetError(f"None of {len(y)} images has a rating; expected at least one.")
    return x[rated], y[rated]


def _plcc_after(curve: RatingCurve, x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """PLCC after a curve; a line keeps the raw PLCC, because a falling line would hide a negative correlation."""
    return plcc(x, y) if curve.kind == "linear" else plcc(curve(x), y)


def _with_intervals(
    statistics: RatingStatistics, of_srcc: tuple[float, float], of_plcc: tuple[float, float]
) -> RatingStatistics:
    return replace(statistics, srcc_interval=of_srcc, plcc_interval=of_plcc)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else math.nan
