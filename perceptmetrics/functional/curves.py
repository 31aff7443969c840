"""Curves from scores to ratings: the logistic functions that image quality assessment fits before reporting errors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["fit_logistic4", "fit_logistic5", "logistic4", "logistic5"]

MOST_EVALUATIONS = 600  # of the curve, per fit
_LOG_WIDTH = 20.0  # beyond exp(+-20) standard deviations of the scores, a rise is a step or a line
_WIDTHS = (0.01, 0.05, 0.2, 0.6, 2.0)  # of rises to start fits from, in standard deviations of the scores
_MOST_MIDDLES, _MOST_POINTS, _MOST_STARTS = 40, 400, 10  # of the grid on which starts are looked for
_LEAST_NORM = 1e-9  # of what a rise explains; less is none


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

    Examples:
        >>> curve = fit_logistic4([0, 1, 2, 3, 4, 5], logistic4([0, 1, 2, 3, 4, 5], 90, 10, 2.5, 0.7))
        >>> [round(value, 3) for value in curve]
        [90.0, 10.0, 2.5, 0.7]
    """
    x, y = _points(prediction, target, fewest=5)
    (scaled_x, centre, spread), (scaled_y, low, height) = _standardised(x), _to_unit(y)
    fit = _best_rise(_Scaled(scaled_x, scaled_y, line=False))
    far_left = low + height * fit.base
    return far_left + height * fit.rise, far_left, centre + spread * fit.middle, spread * fit.width


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

    Examples:
        >>> x = [0, 1, 2, 3, 4, 5, 6, 7]
        >>> curve = fit_logistic5(x, logistic5(x, 3, 2, 3.5, 0.5, 1))
        >>> [round(value, 3) for value in curve]
        [3.0, 2.0, 3.5, 0.5, 1.0]
    """
    x, y = _points(prediction, target, fewest=6)
    (scaled_x, centre, spread), (scaled_y, low, height) = _standardised(x), _to_unit(y)
    without_line = _best_rise(_Scaled(scaled_x, scaled_y, line=False))
    fit = _best_rise(_Scaled(scaled_x, scaled_y, line=True), (without_line.middle, math.log(without_line.width)))
    return (
        height * fit.rise,
        1 / (fit.width * spread),
        centre + spread * fit.middle,
        height * fit.tilt / spread,
        low + height * (fit.base + fit.rise / 2 - fit.tilt * centre / spread),
    )


class _Rise(NamedTuple):
    """The curve `base + tilt * x + rise / (1 + exp(-(x - middle) / width))`."""

    middle: float
    width: float
    rise: float
    tilt: float
    base: float


class _Scaled:
    """Points to which a rise is fitted, beside a line where that is wanted.

    For a middle and a width, the other parameters follow from linear least squares (Golub and Pereyra, SIAM Journal on
    Numerical Analysis 10, 1973). So only these two are searched for.

    Args:
        x: Scores, standardised.
        y: Ratings.
        line: Whether a line is fitted beside the rise.
    """

    def __init__(self, x: NDArray[np.float64], y: NDArray[np.float64], *, line: bool) -> None:
        self.x, self.y, self._line = x, y, line
        centred = x - x.mean()
        self._along = centred / np.linalg.norm(centred) if line else np.zeros_like(x)
        self._rest = self._unexplained(y)

    def thinned(self) -> _Scaled:
        """Means of neighbours in place of very many points."""
        size = len(self.x) // _MOST_POINTS
        if size < 2:
            return self
        order = np.argsort(self.x, kind="stable")[: size * _MOST_POINTS].reshape(_MOST_POINTS, size)
        return _Scaled(self.x[order].mean(axis=1), self.y[order].mean(axis=1), line=self._line)

    def residuals(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is left of the ratings for a middle and the logarithm of a width."""
        part, height = self._part(parameters)
        return height * part - self._rest

    def errors(self, middles: NDArray[np.float64], widths: NDArray[np.float64]) -> NDArray[np.float64]:
        """Squared errors for many middles and widths at once, negative where the ratings fall; all the same shape."""
        shapes = self._unexplained(expit((self.x - middles[..., None]) / widths[..., None]))
        norms = np.linalg.norm(shapes, axis=-1)
        gains = np.divide(shapes @ self._rest, norms, out=np.zeros_like(norms), where=norms > _LEAST_NORM)
        return np.asarray(np.copysign(self._rest @ self._rest - gains**2, gains))

    def curve(self, parameters: NDArray[np.float64]) -> _Rise:
        """The whole curve for a middle and the logarithm of a width."""
        middle, width = float(parameters[0]), _exp(float(parameters[1]))
        _, rise = self._part(parameters)
        left = self.y - rise * expit((self.x - middle) / width)
        tilt = float(left @ self._along) * float(self._along @ self.x) / float(self.x @ self.x)
        return _Rise(middle, width, rise, tilt, float((left - tilt * self.x).mean()))

    def _part(self, parameters: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """What a rise of height 1 explains that mean and line do not, and the best height."""
        middle, log_width = parameters
        part = self._unexplained(expit((self.x - middle) / _exp(log_width)))
        square = float(part @ part)
        return part, float(part @ self._rest) / square if square > _LEAST_NORM**2 else 0.0

    def _unexplained(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values minus their mean and their part along the line; shape (..., N)."""
        values = values - values.mean(axis=-1, keepdims=True)
        return values - (values @ self._along)[..., None] * self._along


def _best_rise(points: _Scaled, *starts: tuple[float, float]) -> _Rise:
    """The best of several fits.

    Args:
        points: What is fitted.
        starts: Middles and logarithms of widths to start from, beside those that a grid suggests.
    """
    usual = [(0.0, math.log(width)) for width in (0.25, 1.0, 4.0)]
    fits = [
        least_squares(points.residuals, start, method="lm", max_nfev=MOST_EVALUATIONS)
        for start in (*starts, *usual, *_promising(points))
    ]
    return points.curve(min(fits, key=lambda fit: float(fit.cost)).x)


def _promising(points: _Scaled) -> list[tuple[float, float]]:
    """Middles and logarithms of widths from which a fit is worth its time: the best of each kind on a grid."""
    middles, steps = _middles(points.x)
    middles, widths = np.broadcast_arrays(
        middles, np.vstack([steps, *(np.full_like(steps, width) for width in _WIDTHS)])
    )
    errors = points.thinned().errors(middles, widths)
    found: dict[tuple[int, int], float] = {}
    for row, of_width in enumerate(errors):
        for falls in (False, True):
            of_kind = np.where(np.signbit(of_width) == falls, np.abs(of_width), np.inf)
            column = int(of_kind.argmin())
            found[row, column] = float(of_kind[column])
    best = sorted(found, key=lambda place: found[place])[:_MOST_STARTS]
    return [(float(middles[place]), math.log(widths[place])) for place in best]


def _middles(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Between neighbours, all of few scores or some of many, and beyond both ends; each with a step's width there."""
    distinct = np.unique(x)
    if len(distinct) > _MOST_MIDDLES + 1:
        upper = np.unique(np.linspace(1, len(distinct) - 1, _MOST_MIDDLES).astype(int))
    else:
        upper = np.arange(1, len(distinct))
    inside, gaps = (distinct[upper] + distinct[upper - 1]) / 2, distinct[upper] - distinct[upper - 1]
    beyond = np.array([0.5, 2.0])
    middles = np.concatenate([distinct[0] - beyond, inside, distinct[-1] + beyond])
    return middles, np.concatenate([beyond / 20, np.maximum(gaps / 20, math.exp(-_LOG_WIDTH)), beyond / 20])


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
