"""The headline of a run: how good the trained metric is on new images, against the untouched metric and chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.functional.stats import srcc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.run.results import RunResult

__all__ = ["LEVEL", "Headline", "headlines"]

LEVEL = 0.9
_DRAWS = 500
_NAN = (math.nan, math.nan)


@dataclass(frozen=True, kw_only=True)
class Headline:
    """How good a trained metric is on images that it was not trained on, for one rating or for classes.

    Attributes:
        data_set: The data set.
        label: The rating; empty for classes.
        statistic: `"SRCC"`, `"mean SRCC within groups"` or `"accuracy"`.
        value: The average over the splits of this statistic of their test images, as the recipe reports it.
        interval: Interval of this average that covers `LEVEL`: test images (or groups) are drawn with replacement, the
            same for all splits.
        chance: The statistic of the mean rating, or of the most frequent class.
        untouched: Name of the metric before training; empty where there is none.
        untouched_value: The same average for it; NaN where there is none.
        gain: Interval of `value` minus `untouched_value`, from the same draws.
        qualified: Whether the sentence names data set and rating, because there are several.
    """

    data_set: str
    label: str
    statistic: str
    value: float
    interval: tuple[float, float]
    chance: float
    untouched: str = ""
    untouched_value: float = math.nan
    gain: tuple[float, float] = _NAN
    qualified: bool = False

    @property
    def sentence(self) -> str:
        """The headline in words."""
        of = f" ({': '.join(filter(None, (self.data_set, self.label)))})" if self.qualified else ""
        if math.isnan(self.value):
            return f"How good it is on new images{of} could not be measured: its {self.statistic} is undefined."
        beside = [f"{LEVEL * 100:.0f} % interval {_short(self.interval[0])} to {_short(self.interval[1])}"]
        if not math.isnan(self.untouched_value):
            beside.append(f"the untouched {self.untouched}: {_short(self.untouched_value)}")
        beside.append(f"{self._guess}: {_short(self.chance)}")
        return f"{self._claim}{of} with {self.statistic} {_short(self.value)} ({'; '.join(beside)})."

    @property
    def caution(self) -> str:
        """What the intervals do not allow to claim, in words; empty if there is nothing."""
        if self.interval[0] <= self.chance:
            return f"This may be no better than {self._guess}."
        if self.gain[1] < 0:
            return f"The untouched {self.untouched} is better."
        if self.gain[0] <= 0:
            return (
                f"Whether it is better than the untouched {self.untouched} is open: the difference is "
                f"{_short(self.value - self.untouched_value)} ({_short(self.gain[0])} to {_short(self.gain[1])})."
            )
        return ""

    @property
    def _claim(self) -> str:
        if self.statistic == "accuracy":
            return "Classifies new images as people do"
        return f"Ranks new images {'of a group ' if 'groups' in self.statistic else ''}as people do"

    @property
    def _guess(self) -> str:
        return "naming the most frequent class" if self.statistic == "accuracy" else "predicting the mean"


def _short(value: float) -> str:
    """Two decimals without the leading zero, as correlations are printed."""
    text = f"{value:.2f}".replace("-0.00", "0.00")
    return "0" if text == "0.00" else text.replace("0.", ".", 1) if abs(value) < 0.995 else text


def headlines(result: RunResult) -> tuple[Headline, ...]:
    """The headlines of a run: one for each data set with classes, and for each rating of the others."""
    labels = {one.name: ("",) if one.classes is not None else one.labels for one in result.datasets}
    qualified = sum(map(len, labels.values())) > 1
    return tuple(
        _headline(result, dataset, column, label, qualified=qualified)
        for dataset in result.datasets
        for column, label in enumerate(labels[dataset.name])
    )


def _headline(result: RunResult, dataset: LabelledImages, column: int, label: str, *, qualified: bool) -> Headline:
    tested = [one for split in result.splits for one in split.data_sets if one.data_set == dataset.name]
    compared = [[(one.images, one.scores) for one in tested]]
    known = result.untouched is not None and dataset.name in result.untouched.scores
    if result.untouched is not None and known:
        scores = result.untouched.scores[dataset.name]
        compared.append([(images, scores[images]) for images, _ in compared[0]])
    average = np.nanmean if result.recipe.report.average == "mean" else np.nanmedian
    values, intervals = _measure(dataset, column, compared, average, result.recipe.seed)
    return Headline(
        data_set=dataset.name,
        label=label,
        statistic=_statistic(dataset),
        value=values[0],
        interval=intervals[0],
        chance=_chance(dataset, tested[0].images),
        untouched=result.untouched.name if result.untouched is not None and known else "",
        untouched_value=values[-1] if known else math.nan,
        gain=intervals[-1] if known else _NAN,
        qualified=qualified,
    )


def _statistic(dataset: LabelledImages) -> str:
    if dataset.classes is not None:
        return "accuracy"
    return "mean SRCC within groups" if dataset.ranks_within_groups else "SRCC"


def _chance(dataset: LabelledImages, images: NDArray[np.intp]) -> float:
    """The accuracy of naming the class that most test images have; equal predictions rank nothing."""
    if dataset.classes is None or not len(images):
        return 0.0
    return float(np.bincount(dataset.classes[images]).max() / len(images))


def _measure(
    dataset: LabelledImages,
    column: int,
    compared: Sequence[Sequence[tuple[NDArray[np.intp], NDArray[np.float64]]]],
    average: Callable[[NDArray[np.float64]], np.floating],
    seed: int,
) -> tuple[list[float], list[tuple[float, float]]]:
    """The average statistic of each metric, their intervals, and that of the difference of the first and the last.

    Args:
        dataset: The data set.
        column: Its rating.
        compared: For each metric and split, the indices of the test images and their scores, shape (N, K).
        average: Over the splits.
        seed: Of the draws.
    """
    statistics = [[_prepared(dataset, column, *split) for split in metric] for metric in compared]
    units = np.arange(len(dataset)) if dataset.inseparable is None else _numbered(dataset.inseparable)
    tested = np.unique(np.concatenate([units[images] for images, _ in compared[0]]))
    rng = np.random.default_rng(seed)

    def averages(times: NDArray[np.float64]) -> list[float]:
        found = [np.array([statistic(times[units]) for statistic in metric]) for metric in statistics]
        return [math.nan if np.isnan(values).all() else float(average(values)) for values in found]

    values = averages(np.ones(units.max() + 1))
    drawn = []
    for _ in range(_DRAWS if len(tested) else 0):
        times = np.bincount(rng.choice(tested, len(tested)), minlength=units.max() + 1)
        drawn.append(averages(times.astype(np.float64)))
    table = np.array(drawn).reshape(-1, len(values))
    columns = [*table.T, table[:, 0] - table[:, -1]]
    return values, [_interval(one) for one in columns]


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if not len(defined):
        return _NAN
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _numbered(keys: Sequence[str]) -> NDArray[np.intp]:
    return np.unique(np.asarray(keys), return_inverse=True)[1].reshape(-1)


def _prepared(
    dataset: LabelledImages, column: int, images: NDArray[np.intp], scores: NDArray[np.float64]
) -> Callable[[NDArray[np.float64]], float]:
    """The statistic of some scores, as a function of how often each image of the data set is drawn."""
    if dataset.classes is not None:
        hits = scores.argmax(axis=1) == dataset.classes[images] if len(images) else np.empty(0)
        return lambda times: _mean(hits, times[images])
    truths = np.empty(0) if dataset.ratings is None else dataset.ratings[images, column]
    rated = ~np.isnan(truths)
    x, y, images = scores[rated, column], truths[rated], images[rated]
    if not np.isfinite(x).all():
        return lambda _: math.nan
    if dataset.ranks_within_groups and dataset.groups is not None:
        groups = _numbered(dataset.groups)[images]
        every, first = np.unique(groups, return_index=True)
        values = np.array([srcc(x[groups == group], y[groups == group]) for group in every])
        known = ~np.isnan(values)
        return lambda times: _mean(values[known], times[images[first[known]]])
    levels = [np.unique(side, return_inverse=True)[1].reshape(-1) for side in (x, y)]
    return lambda times: _weighted_srcc(levels, times[images])


def _mean(values: NDArray[np.float64], times: NDArray[np.float64]) -> float:
    return float(np.average(values, weights=times)) if times.sum() else math.nan


def _weighted_srcc(levels: Sequence[NDArray[np.intp]], times: NDArray[np.float64]) -> float:
    """Spearman's correlation where every image occurs a number of times; `levels` order the values of both sides."""
    if times.sum() < 2:
        return math.nan
    deviations = []
    for level in levels:
        counts = np.bincount(level, weights=times)
        ranks = (np.cumsum(counts) - (counts - 1) / 2)[level]
        deviations.append(ranks - np.average(ranks, weights=times))
    first, second = deviations
    spread = math.sqrt(float(times @ first**2) * float(times @ second**2))
    return float(times @ (first * second)) / spread if spread > 0 else math.nan
