"""Calibration: map the raw outputs of a trained head to the scale of the ratings.

A loss such as the correlation ignores the scale. After training with it, a line from outputs to ratings is fitted on
images that were not trained on, and folded into the last layer. Ratings that are comparable only within a group have no
common scale: then a recipe may ask for scores that are spread over [0, 1] instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit, logit
from torch import nn

from perceptmetrics.finetune.model.learner import predict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.training.trainer import RunContext
    from perceptmetrics.finetune.training.trial import Trial
    from perceptmetrics.models.metric import Metric

__all__ = [
    "Calibration",
    "HeldOut",
    "RatingScale",
    "best_of_groups",
    "fit_calibration",
    "fit_spread",
    "fold_calibration",
]

_MIN_SLOPE = 0.02  # for an output that learned nothing: its scores stay near the mean rating
_SCALE_FREE = ("plcc", "ranking", "relative")
_QUANTILES, _SPREAD = (0.1, 0.9), (0.25, 0.75)  # and the scores that images at these quantiles get
_MIN_STD = 1e-8

HeldOut: TypeAlias = "dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]"
"""For each head: outputs for test images, standardised by those for training images, and their ratings."""


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
        """Calibrate raw outputs of shape (N, K)."""
        calibrated: NDArray[np.float64] = raw * self.slope + self.shift
        return calibrated


def fit_calibration(raw: NDArray[np.float64], ratings: NDArray[np.float64], *, logistic: bool) -> Calibration:
    """Fit a calibration by least squares.

    Args:
        raw: Shape (N, K), outputs for images that were not trained on.
        ratings: Shape (N, K) in [0, 1]; NaN where there is none.
        logistic: Whether the metric applies a logistic function to the line.

    Returns:
        The calibration; the identity for outputs without ratings.
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
    std, mean = float(raw.std()) or 1.0, float(raw.mean())
    standard = (raw - mean) / std
    slope = max(float(np.mean(standard * (ratings - ratings.mean()))), _MIN_SLOPE)
    shift = float(ratings.mean())
    if logistic:
        start = (4 * slope, float(np.log(shift / (1 - shift))) if 0 < shift < 1 else 0.0)
        slope, shift = least_squares(lambda line: expit(line[0] * standard + line[1]) - ratings, start).x
        slope = max(float(slope), _MIN_SLOPE)
    return slope / std, float(shift) - slope * mean / std


def fit_spread(raw: NDArray[np.float64], *, logistic: bool) -> Calibration:
    """Fit a calibration that gives one image in ten a score below 0.25, and one in ten a score above 0.75.

    Args:
        raw: Shape (N, K), outputs for the images.
        logistic: Whether the metric applies a logistic function to the line.
    """
    low, high = np.quantile(raw, _QUANTILES, axis=0)
    wanted = logit(_SPREAD) if logistic else np.array(_SPREAD)
    slope = (wanted[1] - wanted[0]) / (high - low + _MIN_STD)
    return Calibration(slope=slope, shift=wanted[0] - slope * low)


def best_of_groups(dataset: LabelledImages, images: NDArray[np.intp]) -> NDArray[np.intp]:
    """Of each group whose ratings compare only its own images, the image with the best mean rating; else all images."""
    if dataset.ratings is None or dataset.groups is None or not dataset.ranks_within_groups:
        return images
    means = np.nanmean(dataset.ratings[images], axis=1)
    order = np.argsort(-means, kind="stable")
    _, first = np.unique(np.array(dataset.groups)[images][order], return_index=True)
    return np.sort(images[order[first]])


def fold_calibration(metric: Metric, calibration: Calibration) -> None:
    """Fold a calibration into the metric's last layer, in place."""
    part = metric.head if metric.pool.regressor is None else metric.pool.regressor
    *_, last = (module for module in part.modules() if isinstance(module, nn.Linear))
    slope = torch.from_numpy(calibration.slope).to(last.weight)
    with torch.no_grad():
        last.weight.mul_(slope[:, None])
        last.bias.mul_(slope).add_(torch.from_numpy(calibration.shift).to(last.bias))


class RatingScale:
    """Calibrates the models of a run to the scale of their ratings.

    Args:
        run: The run.
    """

    def __init__(self, run: RunContext) -> None:
        self._recipe, self._specs, self._processes = run.recipe, run.specs, run.processes

    def fit(self, trial: Trial) -> list[Calibration | None]:
        """For each data set, the calibration of its outputs; None if they need none.

        It is fitted on the validation images, or on the training images if there are none.
        """
        return [self._fit(trial, index) for index in range(len(trial.sets))]

    def scores(self, trial: Trial, index: int, calibration: Calibration | None) -> NDArray[np.float64]:
        """Scores of a data set's test images: shape (N, K)."""
        raw = self._predict(trial, index, trial.sets[index].split.test)
        outputs = raw if calibration is None else calibration(raw)
        score = self._specs[min(index, len(self._specs) - 1)].score
        return score.map.scores(torch.from_numpy(outputs)).numpy()

    def held_out(self, trial: Trial) -> HeldOut:
        """What `fit_to_held_out` needs from the model of a split."""
        found: HeldOut = {}
        if self._recipe.calibration == "spread":  # needs no ratings, so no images that were not trained on
            return found
        for index in range(len(self._specs)):
            one = trial.sets[index]
            if self._calibrates(index) and one.dataset.ratings is not None:
                mean, std = self._moments(trial, index)
                raw = self._predict(trial, index, one.split.test)
                found[index] = ((raw - mean) / std, one.dataset.ratings[one.split.test])
        return found

    def fit_to_held_out(self, trial: Trial, held_out: Sequence[HeldOut]) -> list[Calibration | None]:
        """For each head of a model trained on all images, its calibration, fitted on the test images of the splits."""
        if self._recipe.calibration == "spread":
            return self.fit(trial)[: len(self._specs)]
        calibrations: list[Calibration | None] = [None] * len(self._specs)
        for index in held_out[0]:
            fit = self._fit_held_out(index, held_out)
            mean, std = self._moments(trial, index)
            calibrations[index] = Calibration(slope=fit.slope / std, shift=fit.shift - fit.slope * mean / std)
        return calibrations

    def held_out_scores(self, index: int, held_out: Sequence[HeldOut]) -> list[NDArray[np.float64]]:
        """Scores of the test images of each split, on the scale of a model that is trained on all images."""
        fit = self._fit_held_out(index, held_out)
        score_map = self._specs[index].score.map
        return [score_map.scores(torch.from_numpy(fit(of_split[index][0]))).numpy() for of_split in held_out]

    def _fit_held_out(self, index: int, held_out: Sequence[HeldOut]) -> Calibration:
        pairs = [of_split[index] for of_split in held_out]
        outputs, ratings = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
        return fit_calibration(outputs, ratings, logistic=self._recipe.score_map == "logistic")

    def _fit(self, trial: Trial, index: int) -> Calibration | None:
        rated = self._rated(index)
        one = trial.sets[rated]
        if not self._calibrates(index) or one.dataset.ratings is None:
            return None
        if self._recipe.calibration == "spread":
            raw = self._predict(trial, rated, best_of_groups(one.dataset, one.split.train))
            return fit_spread(raw, logistic=self._recipe.score_map == "logistic")
        images = one.split.validation if len(one.split.validation) else one.split.train
        raw = self._predict(trial, rated, images)
        return fit_calibration(raw, one.dataset.ratings[images], logistic=self._recipe.score_map == "logistic")

    def _calibrates(self, index: int) -> bool:
        """Whether the outputs of a head have no scale of their own, or go through a logistic function."""
        loss = self._recipe.data[self._rated(index)].loss or self._recipe.loss
        spec = self._specs[0]
        is_free = not spec.head.is_calibrated or spec.pool.regressor is not None
        asked = self._recipe.score_map == "logistic" or self._recipe.calibration == "spread"
        return is_free and (loss in _SCALE_FREE or asked)

    def _rated(self, index: int) -> int:
        """Index of the data set whose ratings calibrate a head: its own, or the first of those that share the head."""
        return 0 if len(self._specs) == 1 else index

    def _predict(self, trial: Trial, index: int, images: NDArray[np.intp]) -> NDArray[np.float64]:
        return predict(trial.learner, index, trial.sets[index].feed, images, self._processes)

    def _moments(self, trial: Trial, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of the outputs for the training images."""
        raw = self._predict(trial, index, trial.sets[index].split.train)
        return raw.mean(axis=0), raw.std(axis=0) + _MIN_STD
