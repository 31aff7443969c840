"""Fit the curve that maps scores to ratings before PLCC and RMSE, and fall back to a simpler one where it misleads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from perceptmetrics.functional.curves import fit_logistic4, fit_logistic5, logistic4, logistic5
from perceptmetrics.functional.stats import mse, plcc

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

__all__ = ["CurveKind", "RatingCurve", "fit_rating_curve"]

CurveKind: TypeAlias = Literal["logistic4", "logistic5", "linear", "none"]

FEWEST_LEVELS = 5
"""A curve with fewer distinct values than this over the images is a step and says little about them."""
MOST_TURNING = 0.05
"""Fraction of its range that a curve may fall on the way up; the Video Quality Experts Group asks for monotonicity."""
ROUNDING = 1e-6
"""Fraction of the ratings' variance by which an iterative fit may be worse than a line."""

_SIMPLER: dict[CurveKind, CurveKind] = {"logistic5": "logistic4", "logistic4": "linear", "linear": "none"}
_FITS: dict[CurveKind, Callable[[ArrayLike, ArrayLike], tuple[float, ...]]] = {
    "logistic4": fit_logistic4,
    "logistic5": fit_logistic5,
}
_PARAMETERS: dict[CurveKind, int] = {"logistic4": 4, "logistic5": 5}


@dataclass(frozen=True, kw_only=True)
class RatingCurve:
    """A curve from scores to ratings.

    Attributes:
        kind: `"logistic4"` or `"logistic5"` of `functional.curves`; `"linear"` (slope and intercept); or `"none"`.
        parameters: Its parameters.
        fallback: Why it is not the requested curve; empty if it is.
    """

    kind: CurveKind
    parameters: tuple[float, ...] = ()
    fallback: str = ""

    def __call__(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Predict ratings from scores of any shape; NaN if there is no curve."""
        if self.kind == "logistic4":
            return logistic4(scores, *self.parameters)
        if self.kind == "logistic5":
            return logistic5(scores, *self.parameters)
        slope, offset = self.parameters or (math.nan, math.nan)
        return slope * np.asarray(scores, dtype=np.float64) + offset


def fit_rating_curve(prediction: ArrayLike, target: ArrayLike, kind: CurveKind) -> RatingCurve:
    """Fit a curve by least squares, or a simpler one where that curve would flatter the predictions.

    The five-parameter logistic falls back to the four-parameter one, then to a line, then to no curve. A logistic is
    rejected if there are no more distinct scores than parameters, if it falls (scores opposed to the ratings would look
    right), turns back, is a step whose position may be chance, or fits worse than a line.

    Args:
        prediction: N scores, higher is better.
        target: N ratings, higher is better.
        kind: The requested curve.

    Returns:
        The curve.
    """
    x, y = np.asarray(prediction, dtype=np.float64), np.asarray(target, dtype=np.float64)
    reasons: list[str] = []
    while kind in _FITS:
        parameters, fault = _fit(x, y, kind)
        if not fault:
            return RatingCurve(kind=kind, parameters=parameters, fallback="; ".join(reasons))
        reasons.append(f"{kind}: {fault}")
        kind = _SIMPLER[kind]
    if kind == "linear" and not math.isnan(plcc(x, y)):
        return RatingCurve(kind="linear", parameters=_line(x, y), fallback="; ".join(reasons))
    return RatingCurve(kind="none", fallback="; ".join([*reasons, "linear: no line is determined"]))


def _fit(x: NDArray[np.float64], y: NDArray[np.float64], kind: CurveKind) -> tuple[tuple[float, ...], str]:
    """Parameters, and what is wrong with them (empty if nothing is)."""
    count = len(np.unique(x))
    if count <= _PARAMETERS[kind]:
        return (), f"{count} distinct scores do not determine it"
    if math.isnan(plcc(x, y)):
        return (), "scores or ratings are all equal or not finite"
    parameters = _FITS[kind](x, y)
    if not np.isfinite(parameters).all():
        return parameters, "the fit does not converge"
    return parameters, _fault(RatingCurve(kind=kind, parameters=parameters), x, y)


def _fault(curve: RatingCurve, x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    path = curve(np.union1d(x, np.linspace(x.min(), x.max(), 256)))
    extent = float(np.ptp(path))
    if path[-1] <= path[0] or extent == 0:
        return "it does not rise with the score"
    if float(-np.minimum(np.diff(path), 0).sum()) > MOST_TURNING * extent:
        return "it turns back"
    fitted = curve(x)
    if len(np.unique(np.round((fitted - path.min()) / extent, 3))) < FEWEST_LEVELS:
        return "it is a step"
    if mse(fitted, y) > mse(np.polyval(_line(x, y), x), y) + ROUNDING * float(np.var(y)):
        return "it fits worse than a line"
    return ""


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    centre = float(x.mean())
    slope = float(np.dot(x - centre, y) / np.dot(x - centre, x - centre))
    return slope, float(y.mean()) - slope * centre
