"""Curves from scores to ratings: the logistic functions that image quality assessment fits before reporting errors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["fit_logistic4", "fit_logistic5", "logistic4", "logistic5"]

MOST_EVALUATIONS = 600  # of the curve, per fit
_LOG_WIDTH = 20.0  # beyond exp(+-20) standard deviations of the scores, a rise is a step or a line


def logistic4(x: ArrayLike, b1: float, b2: float, b3: float, b4: float) -> NDArray[np.float64]:
    """The four-parameter logistic `b2 + (b1 - b2) / (1 + exp(-(x - b3) / |b4|))`.

    Args:
        x: Numbers of any shape.
        b1: Value far to the right.
        b2: Value far to the left.
        b3: Where the value is half-way between the two.
        b4: Width of the rise in units of `x`; its sign does not matter.

    Returns:
        Numbers of the shape of `x`.
    """
    return b2 + (b1 - b2) * np.asarray(expit((np.asarray(x, dtype=float) - b3) / abs(b4)))


def logistic5(x: ArrayLike, b1: float, b2: float, b3: float, b4: float, b5: float) -> NDArray[np.float64]:
    """The five-parameter logistic `b1 * (1/2 - 1 / (1 + exp(b2 * (x - b3)))) + b4 * x + b5`.

    A logistic on a sloping line (Sheikh, Sabir and Bovik, IEEE Transactions on Image Processing 15, 2006).

    Args:
        x: Numbers of any shape.
        b1: Height of the rise.
        b2: Its steepness, per unit of `x`.
        b3: Its middle.
        b4: Slope of the line.
        b5: Value of the line at 0.

    Returns:
        Numbers of the shape of `x`.
    """
    numbers = np.asarray(x, dtype=float)
    return b1 * (np.asarray(expit(b2 * (numbers - b3))) - 0.5) + b4 * numbers + b5


def fit_logistic4(prediction: ArrayLike, target: ArrayLike) -> tuple[float, float, float, float]:
    """Fit `logistic4` by least squares, as image quality assessment does before it reports PLCC and RMSE.

    The curve maps scores to the scale of the ratings, so that a metric is not penalised for a monotone but curved
    relation (VQEG, "Final report from the Video Quality Experts Group", phase I, 2000; in this form: PerceptCLIP,
    TMLR 2025).

    Args:
        prediction: N >= 5 scores, not all equal.
        target: N ratings.

    Returns:
        `b1, b2, b3, b4`, with b4 > 0; the curve falls when b1 < b2.

    Raises:
        ValueError: There are too few points or all scores are equal, so that the curve is not determined.

    Example:
        >>> curve = fit_logistic4([0, 1, 2, 3, 4, 5], logistic4([0, 1, 2, 3, 4, 5], 90, 10, 2.5, 0.7))
        >>> [round(value, 3) for value in curve]
        [90.0, 10.0, 2.5, 0.7]
    """
    x, y = _points(prediction, target, fewest=5)
    (scaled_x, centre, spread), (scaled_y, low, height) = _standardised(x), _to_unit(y)
    b1, b2, b3, width = _fit_scaled_logistic4(scaled_x, scaled_y)
    return low + height * b1, low + height * b2, centre + spread * b3, spread * width


def fit_logistic5(prediction: ArrayLike, target: ArrayLike) -> tuple[float, float, float, float, float]:
    """Fit `logistic5` by least squares.

    The curve need not be monotone: with weak correlation it may rise and fall.

    Args:
        prediction: N >= 6 scores, not all equal.
        target: N ratings.

    Returns:
        `b1, b2, b3, b4, b5`, with b2 > 0. The squared error is at most that of `fit_logistic4`, the case b4 = 0, and
        at most that of a straight line, the case b1 = 0.

    Raises:
        ValueError: There are too few points or all scores are equal, so that the curve is not determined.

    Example:
        >>> x = [0, 1, 2, 3, 4, 5, 6, 7]
        >>> curve = fit_logistic5(x, logistic5(x, 3, 2, 3.5, 0.5, 1))
        >>> [round(value, 3) for value in curve]
        [3.0, 2.0, 3.5, 0.5, 1.0]
    """
    x, y = _points(prediction, target, fewest=6)
    (scaled_x, centre, spread), (scaled_y, low, height) = _standardised(x), _to_unit(y)
    b1, b2, b3, width = _fit_scaled_logistic4(scaled_x, scaled_y)
    slope, offset = np.polyfit(scaled_x, scaled_y, 1)
    starts = [
        (b1 - b2, -np.log(width), b3, 0.0, (b1 + b2) / 2),
        (0.0, 0.0, 0.0, slope, offset),
        (float(np.sign(slope) or 1.0), np.log(2.0), 0.0, slope / 2, offset),
    ]

    def curve(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        rise, log_steepness, middle, tilt, base = parameters
        return logistic5(scaled_x, rise, _exp(log_steepness), middle, tilt, base)

    rise, log_steepness, middle, tilt, base = _least_squares(curve, scaled_y, starts)
    return (
        height * rise,
        _exp(log_steepness) / spread,
        centre + spread * middle,
        height * tilt / spread,
        low + height * (base - tilt * centre / spread),
    )


def _fit_scaled_logistic4(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float, float]:
    def curve(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        b1, b2, b3, log_b4 = parameters
        return logistic4(x, b1, b2, b3, _exp(log_b4))

    ends = (1.0, 0.0) if np.dot(x, y - y.mean()) >= 0 else (0.0, 1.0)
    b1, b2, b3, log_b4 = _least_squares(curve, y, [(*ends, 0.0, np.log(width)) for width in (0.25, 1.0, 4.0)])
    return b1, b2, b3, _exp(log_b4)


def _least_squares(
    curve: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    target: NDArray[np.float64],
    starts: Sequence[tuple[float, ...]],
) -> list[float]:
    """Parameters of the best of several fits."""

    def residuals(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        return curve(parameters) - target

    fits = [least_squares(residuals, start, method="lm", max_nfev=MOST_EVALUATIONS) for start in starts]
    return [float(value) for value in min(fits, key=lambda fit: float(fit.cost)).x]


def _points(prediction: ArrayLike, target: ArrayLike, fewest: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(prediction, dtype=float), np.asarray(target, dtype=float)
    if x.size < fewest or float(x.std()) == 0:
        raise ValueError(f"A logistic curve needs at least {fewest} points of different scores, got {x.size} points.")
    return x, y


def _standardised(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """Numbers standardised to mean 0 and deviation 1; returned with their former mean and deviation."""
    centre, spread = float(x.mean()), float(x.std())
    return (x - centre) / spread, centre, spread


def _to_unit(y: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """Numbers rescaled to [0, 1]; returned with their former minimum and range."""
    low, height = float(y.min()), float(np.ptp(y)) or 1.0
    return (y - low) / height, low, height


def _exp(logarithm: float) -> float:
    return math.exp(min(max(logarithm, -_LOG_WIDTH), _LOG_WIDTH))
