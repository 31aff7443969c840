"""From the raw outputs of a trained head to scores on the scale of the ratings.

A correlation says nothing of scale, so after training with it a line is fitted to the ratings of images that were not
trained on, and becomes part of the last layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit
from torch import nn

from perceptmetrics.finetune.learner import predict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.finetune.processes import Processes
    from perceptmetrics.finetune.recipe import Recipe
    from perceptmetrics.finetune.trial import Trial
    from perceptmetrics.models.metric import Metric
    from perceptmetrics.spec import MetricSpec

__all__ = ["Calibration", "HeldOut", "RatingScale", "fit_calibration", "fold_calibration"]

_LEAST_SLOPE = 0.02  # of a column that did not learn: its scores stay near the mean rating
_SCALE_FREE = ("plcc", "ranking")
_LEAST_SPREAD = 1e-8
HeldOut: TypeAlias = "dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]"
"""By head: outputs for test images in units of those for training images, and their ratings."""


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


class RatingScale:
    """Puts the outputs of a run's models on the scale of its ratings.

    Args:
        recipe: How the models are trained.
        specs: The metrics, one for each head.
        processes: The processes that train together.
    """

    def __init__(self, recipe: Recipe, specs: Sequence[MetricSpec], processes: Processes) -> None:
        self._recipe, self._specs, self._processes = recipe, specs, processes

    def lines(self, trial: Trial) -> list[Calibration | None]:
        """For each data set, the line from raw outputs to ratings; None where outputs need none.

        It is fitted on the validation images, or, where there are none, on the training images.
        """
        return [self._line(trial, place) for place in range(len(trial.sets))]

    def scores(self, trial: Trial, place: int, line: Calibration | None) -> NDArray[np.float64]:
        """Scores of a data set's test images: shape (N, K)."""
        raw = self._predict(trial, place, trial.sets[place].split.test)
        outputs = raw if line is None else line(raw)
        score = self._specs[min(place, len(self._specs) - 1)].score
        return score.map.scores(torch.from_numpy(outputs)).numpy()

    def held_out(self, trial: Trial) -> HeldOut:
        """What `lines_of_all` needs of the model of a split."""
        found = {}
        for place in range(len(self._specs)):
            one = trial.sets[place]
            if self._calibrates(place) and one.dataset.ratings is not None:
                mean, spread = self._moments(trial, place)
                raw = self._predict(trial, place, one.split.test)
                found[place] = ((raw - mean) / spread, one.dataset.ratings[one.split.test])
        return found

    def lines_of_all(self, trial: Trial, held_out: Sequence[HeldOut]) -> list[Calibration | None]:
        """For each head of a model that was trained on all images, its line, fitted on what the splits held out."""
        lines: list[Calibration | None] = [None] * len(self._specs)
        for place in held_out[0]:
            pairs = [of_split[place] for of_split in held_out]
            outputs, ratings = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
            line = fit_calibration(outputs, ratings, logistic=self._recipe.score_map == "logistic")
            mean, spread = self._moments(trial, place)
            lines[place] = Calibration(slope=line.slope / spread, shift=line.shift - line.slope * mean / spread)
        return lines

    def _line(self, trial: Trial, place: int) -> Calibration | None:
        measured = self._measured(place)
        one = trial.sets[measured]
        if not self._calibrates(place) or one.dataset.ratings is None:
            return None
        images = one.split.validation if len(one.split.validation) else one.split.train
        raw = self._predict(trial, measured, images)
        return fit_calibration(raw, one.dataset.ratings[images], logistic=self._recipe.score_map == "logistic")

    def _calibrates(self, place: int) -> bool:
        """Whether a head's outputs are on no scale of their own, or are to go through a logistic."""
        loss = self._recipe.data[self._measured(place)].loss or self._recipe.loss
        spec = self._specs[0]
        is_free = not spec.head.is_calibrated or spec.pool.regressor is not None
        return is_free and (loss in _SCALE_FREE or self._recipe.score_map == "logistic")

    def _measured(self, place: int) -> int:
        """The data set on whose ratings a head is calibrated: its own, or the first of those that share it."""
        return 0 if len(self._specs) == 1 else place

    def _predict(self, trial: Trial, place: int, images: NDArray[np.intp]) -> NDArray[np.float64]:
        return predict(trial.learner, place, trial.sets[place].feed, images, self._processes)

    def _moments(self, trial: Trial, place: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        raw = self._predict(trial, place, trial.sets[place].split.train)
        return raw.mean(axis=0), raw.std(axis=0) + _LEAST_SPREAD
