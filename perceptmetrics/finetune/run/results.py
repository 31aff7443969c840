"""Results of a run: statistics on the test images of each split, and the course of its trainings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import NDArray

from perceptmetrics.datasets import LabelledImages, Split
from perceptmetrics.evaluation import ClassStatistics, RatingStatistics, evaluate_classes
from perceptmetrics.evaluation.ratings import evaluate_within_groups, rating_statistics
from perceptmetrics.finetune.data.checks import Overlap
from perceptmetrics.finetune.recipe import Recipe, ReportRecipe
from perceptmetrics.finetune.recipe.training_sections import ClassStatistic, RatingStatistic
from perceptmetrics.finetune.run.headline import Headline, headlines
from perceptmetrics.finetune.run.untouched import Untouched
from perceptmetrics.finetune.training.epochs import EpochRecord, StageName
from perceptmetrics.spec import MetricSpec

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DataSetResult", "RunResult", "SplitResult", "StageResult", "averages", "shown_statistics", "test_result"]


@dataclass(frozen=True, kw_only=True)
class DataSetResult:
    """A model's scores for the test images of one data set.

    Attributes:
        data_set: Name of the data set.
        images: Indices of the N test images in the data set.
        scores: The metric's output, shape (N, K).
        statistics: Statistics of each rating; for classes a single entry `"classes"`.
    """

    data_set: str
    images: NDArray[np.intp]
    scores: NDArray[np.float64]
    statistics: dict[str, RatingStatistics | ClassStatistics]


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """Results of one split.

    Attributes:
        number: Its number, from 0.
        lr: Learning rate that was chosen on the validation images.
        tried: Best validation statistic of each learning rate.
        best_epoch: Epoch whose weights were kept, from 0.
        selection: Validation statistic of that epoch.
        data_sets: Results on the test images.
        parts: For each data set, its training, validation and test images.
    """

    number: int
    lr: float
    tried: dict[float, float]
    best_epoch: int
    selection: float
    data_sets: tuple[DataSetResult, ...]
    parts: tuple[Split, ...]


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """The course of one training.

    Attributes:
        name: Which training. With `splits.export` `"all"`, the training on all images has the number after the last
            split.
        records: Its epochs.
    """

    name: StageName
    records: tuple[EpochRecord, ...]


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """Results of a run.

    Attributes:
        recipe: The recipe.
        datasets: The data sets, with the labels that were trained on.
        folder: Folder of the run.
        metrics: Folder of each exported metric by data set, for `create_metric`.
        splits: Results of each split.
        stages: All trainings, of every split and learning rate.
        environment: Versions, system and device, for people to read.
        untouched: Scores of the metric before training; None where there is none to compare with.
        specs: The exported metrics, in the order of `metrics`.
        overlaps: Test images that show the same as training images; found by the first process only.
    """

    recipe: Recipe
    datasets: tuple[LabelledImages, ...]
    folder: Path
    metrics: dict[str, Path]
    splits: tuple[SplitResult, ...]
    stages: tuple[StageResult, ...]
    environment: dict[str, str]
    untouched: Untouched | None = None
    specs: tuple[MetricSpec, ...] = ()
    overlaps: tuple[Overlap, ...] = ()

    @cached_property
    def headlines(self) -> tuple[Headline, ...]:
        """How good the trained metric is on new images, for each rating of each data set, or for its classes."""
        return headlines(self)

    def median(self, data_set: str, label: str, statistic: str) -> float:
        """Median of a statistic over the splits, such as `median("livec", "mos", "srcc")`."""
        return float(np.median(self.values(data_set, label, statistic)))

    def mean(self, data_set: str, label: str, statistic: str) -> float:
        """Mean of a statistic over the splits."""
        return float(np.mean(self.values(data_set, label, statistic)))

    def average(self, data_set: str, label: str, statistic: str) -> float:
        """Median or mean of a statistic over the splits, as the recipe reports it."""
        return (self.mean if self.recipe.report.average == "mean" else self.median)(data_set, label, statistic)

    def values(self, data_set: str, label: str, statistic: str) -> list[float]:
        """A statistic of each split."""
        return [
            float(getattr(result.statistics[label], statistic))
            for split in self.splits
            for result in split.data_sets
            if result.data_set == data_set
        ]


def test_result(
    dataset: LabelledImages, images: NDArray[np.intp], scores: NDArray[np.float64], seed: int
) -> DataSetResult:
    """Compare a model's scores with the labels of test images.

    Args:
        dataset: The data set.
        images: Indices of the N test images.
        scores: Shape (N, K).
        seed: Seed of the bootstrap intervals.
    """
    statistics: dict[str, RatingStatistics | ClassStatistics] = {}
    if dataset.classes is not None:
        labels = dataset.classes[images]
        statistics["classes"] = evaluate_classes(scores, labels, dataset.labels, dataset.positive_labels)
    elif dataset.ratings is not None:
        for column, label in enumerate(dataset.labels):
            ratings = dataset.ratings[images, column]
            if dataset.ranks_within_groups and dataset.groups is not None:
                groups = [dataset.groups[index] for index in images]
                statistics[label] = evaluate_within_groups(scores[:, column], ratings, groups)
            elif np.isnan(ratings).all():
                statistics[label] = RatingStatistics(n=0, srcc=np.nan, plcc=np.nan, krcc=np.nan)
            else:
                scale = dataset.scales[column]
                statistics[label] = rating_statistics(scores[:, column], ratings, scale=scale, seed=seed)
    return DataSetResult(data_set=dataset.name, images=images, scores=scores, statistics=statistics)


def shown_statistics(recipe: ReportRecipe, *, classes: bool) -> tuple[str, ...]:
    """The statistics that tables of results show, for classes or for ratings."""
    known = get_args(ClassStatistic if classes else RatingStatistic)
    usual = (
        ("accuracy", "mean_average_precision", "macro_f1") if classes else ("srcc", "plcc", "plcc_logistic4", "rmse")
    )
    return tuple(name for name in recipe.statistics if name in known) or usual


def averages(result: RunResult, average: Callable[[str, str, str], float]) -> dict[str, dict[str, dict[str, float]]]:
    """Averages over the splits, such as `result.median`, by data set, label and statistic."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for one in result.splits[0].data_sets if result.splits else ():
        for label, statistics in one.statistics.items():
            names = [name for name, value in asdict(statistics).items() if isinstance(value, float)]
            found.setdefault(one.data_set, {})[label] = {name: average(one.data_set, label, name) for name in names}
    return found
