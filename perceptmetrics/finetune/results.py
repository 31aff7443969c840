"""Results of a run: the epochs of its trainings, and statistics on the test images of each split."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from perceptmetrics.datasets import LabelledImages, Split
from perceptmetrics.evaluation import ClassStatistics, RatingStatistics, evaluate_classes
from perceptmetrics.evaluation.ratings import evaluate_within_groups, rating_statistics
from perceptmetrics.finetune.overlaps import Overlap
from perceptmetrics.finetune.recipe import Recipe
from perceptmetrics.finetune.recipe_sections import ClassStatistic, RatingStatistic, ReportRecipe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "DataSetResult",
    "EpochRecord",
    "RunResult",
    "SplitResult",
    "StageName",
    "StageResult",
    "averages",
    "is_better",
    "kept_epoch",
    "shown_statistics",
    "test_result",
]


@dataclass(frozen=True, kw_only=True)
class StageName:
    """Identifies one training of a run.

    Attributes:
        split: Number of the split.
        lr: Learning rate that is tried.
        stage: What is trained: `"main"` for what the recipe names, `"head_first"` for the heads before it, `"head_"`
            and the name of a data set for its head afterwards.
    """

    split: int
    lr: float
    stage: str

    def __str__(self) -> str:
        return f"split {self.split + 1}, lr {self.lr:g}, {self.stage}"

    @property
    def filename(self) -> str:
        """The name in file names and in TensorBoard."""
        return f"split{self.split}_lr{self.lr:g}_{self.stage}"


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """Results of one epoch.

    Attributes:
        epoch: Its number, from 0.
        loss: Mean loss of its batches.
        validation_loss: Mean loss of the data sets' validation images; NaN without them.
        validation: For each data set, the statistic of its validation images by which models are selected.
        selection: Mean of `validation`; NaN without validation images.
        lr: Learning rate of its last step.
        seconds: Duration.
    """

    epoch: int
    loss: float
    validation_loss: float
    validation: dict[str, float]
    selection: float
    lr: float
    seconds: float


def is_better(statistic: float, than: float) -> bool:
    """Whether a validation statistic is better than another; an undefined one (NaN) is better than none."""
    return statistic > than or (math.isnan(than) and not math.isnan(statistic))


def kept_epoch(records: Sequence[EpochRecord], keep: Literal["best", "last"]) -> int:
    """Choose the epoch whose weights are kept: the last, or the one with the highest validation statistic.

    Ties go to the lower loss on the validation images, then to the earlier epoch: a few images can be in the right
    order long before the model is good. Without validation images the last epoch counts as the best.
    """
    if keep == "last":
        return records[-1].epoch
    best = 0
    for record in records:
        tied = record.selection == records[best].selection and record.validation_loss < records[best].validation_loss
        if not record.validation or tied or is_better(record.selection, records[best].selection):
            best = record.epoch
    return best


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
        overlaps: Test images that show the same as training images; found by the first process only.
    """

    recipe: Recipe
    datasets: tuple[LabelledImages, ...]
    folder: Path
    metrics: dict[str, Path]
    splits: tuple[SplitResult, ...]
    stages: tuple[StageResult, ...]
    environment: dict[str, str]
    overlaps: tuple[Overlap, ...] = ()

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
