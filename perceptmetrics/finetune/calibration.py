"""From the raw outputs of a trained head to scores on the scale of the ratings.

A correlation says nothing of scale, so after training with it a line is fitted to the ratings of images that were not
trained on, and becomes part of the last layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit
from torch import nn

if TYPE_CHECKING:
    from perceptmetrics.models.metric import Metric

__all__ = ["Calibration", "fit_calibration", "fold_calibration"]

_LEAST_SLOPE = 0.02  # of a column that did not learn: its scores stay near the mean rating


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A line for each of K outputs.

    Attributes:
        slope: Shape (K,), positive.
        shift: Shape (K,).
    """

    slope: NDArray[np.float64]
    shift: NDArray[np.float64]

    def __call__(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Apply it: shape (N, K)."""
        calibrated: NDArray[np.float64] = raw * self.slope + self.shift
        return calibrated


def fit_calibration(raw: NDArray[np.float64], ratings: NDArray[np.float64], *, logistic: bool) -> Calibration:
    """Fit, by least squares.

    Args:
        raw: Shape (N, K), outputs for images that were not trained on.
        ratings: Shape (N, K) in [0, 1]; NaN where there is none.
        logistic: Whether the line goes through a logistic function before it meets the ratings.

    Returns:
        The lines; of a column without ratings, the one that changes nothing.
    """
    lines = []
    for column in range(raw.shape[1]):
        known = ~np.isnan(ratings[:, column])
        lines.append(_fit_column(raw[known, column], ratings[known, column], logistic=logistic))
    slope, shift = (np.array(values) for values in zip(*lines, strict=True))
    return Calibration(slope=slope, shift=shift)


def _fit_column(raw: NDArray[np.float64], ratings: NDArray[np.float64], *, logistic: bool) -> tuple[float, float]:
    if not len(ratings) or not np.isfinite(raw).all():  # nothing to fit to, or a model that diverged
        return 1.0, 0.0
    spread, centre = float(raw.std()) or 1.0, float(raw.mean())
    standard = (raw - centre) / spread
    slope = max(float(np.mean(standard * (ratings - ratings.mean()))), _LEAST_SLOPE)
    shift = float(ratings.mean())
    if logistic:
        start = (4 * slope, float(np.log(shift / (1 - shift))) if 0 < shift < 1 else 0.0)
        slope, shift = least_squares(lambda line: expit(line[0] * standard + line[1]) - ratings, start).x
        slope = max(float(slope), _LEAST_SLOPE)
    return slope / spread, float(shift) - slope * centre / spread


def fold_calibration(metric: Metric, calibration: Calibration) -> None:
    """Make the lines part of the metric's last layer, in place."""
    part = metric.head if metric.pool.regressor is None else metric.pool.regressor
    *_, last = (module for module in part.modules() if isinstance(module, nn.Linear))
    slope = torch.from_numpy(calibration.slope).to(last.weight)
    with torch.no_grad():
        last.weight.mul_(slope[:, None])
        last.bias.mul_(slope).add_(torch.from_numpy(calibration.shift).to(last.bias))
