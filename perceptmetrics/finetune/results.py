"""What a run came to: the epochs of its trainings, and figures on the test images of each split."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from perceptmetrics.datasets import LabelledImages, Split
from perceptmetrics.evaluation import ClassFigures, RatingFigures, evaluate_classes
from perceptmetrics.evaluation.ratings import evaluate_within_groups, rating_figures
from perceptmetrics.finetune.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = [
    "DataSetResult",
    "EpochRecord",
    "RunResult",
    "SplitResult",
    "StageName",
    "StageResult",
    "is_better",
    "kept_epoch",
    "medians",
    "test_result",
]


@dataclass(frozen=True, kw_only=True)
class StageName:
    """Which training of a run.

    Attributes:
        split: Number of the split.
        lr: Learning rate that is tried.
        stage: What is trained: `"main"`, or one of those before and after it.
    """

    split: int
    lr: float
    stage: str

    def __str__(self) -> str:
        return f"split {self.split}, lr {self.lr:g}, {self.stage}"

    @property
    def filename(self) -> str:
        """For files and TensorBoard."""
        return f"split{self.split}_lr{self.lr:g}_{self.stage}"


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """What an epoch came to.

    Attributes:
        epoch: Its number, from 0.
        loss: Mean loss of its batches.
        validation: The figure of each data set's validation images by which models are chosen.
        selection: Their mean.
        lr: Learning rate of its last step.
        seconds: How long it took.
    """

    epoch: int
    loss: float
    validation: dict[str, float]
    selection: float
    lr: float
    seconds: float


def is_better(figure: float, than: float) -> bool:
    """Whether a validation figure beats another; one that is not defined (NaN) beats none."""
    return figure > than or (math.isnan(than) and not math.isnan(figure))


def kept_epoch(records: Sequence[EpochRecord], keep: Literal["best", "last"]) -> int:
    """The epoch whose weights are kept: the last, or that of the highest validation figure.

    Of equal figures the first counts; where nothing is validated, the last epoch is the best.
    """
    if keep == "last":
        return records[-1].epoch
    best = 0
    for record in records:
        if not record.validation or is_better(record.selection, records[best].selection):
            best = record.epoch
    return best


@dataclass(frozen=True, kw_only=True)
class DataSetResult:
    """A model on the test images of a data set.

    Attributes:
        data_set: The data set.
        images: The N test images, as places in the data set.
        scores: Shape (N, K), as the metric gives them.
        figures: For each rating its figures; for classes a single entry `"classes"`.
    """

    data_set: str
    images: NDArray[np.intp]
    scores: NDArray[np.float64]
    figures: dict[str, RatingFigures | ClassFigures]


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """A split.

    Attributes:
        number: Its number.
        lr: The learning rate that was chosen on the validation images.
        tried: The best validation figure of each learning rate.
        best_epoch: The epoch whose weights were kept, from 0.
        selection: Its validation figure.
        data_sets: Figures on the test images.
        parts: For each data set, which images were for what.
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
    """How a training went.

    Attributes:
        name: Which training. With `splits.export` `"all"`, that on all images has the number after the last split.
        records: Its epochs.
    """

    name: StageName
    records: tuple[EpochRecord, ...]


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A run.

    Attributes:
        recipe: What was asked for.
        datasets: The data sets, with the labels that were trained on.
        folder: Where it lies.
        metrics: The exported metrics by data set: folders for `create_metric`.
        splits: Its splits.
        stages: All its trainings, of every split and learning rate.
        environment: What it ran on, as names and values for people to read.
    """

    recipe: Recipe
    datasets: tuple[LabelledImages, ...]
    folder: Path
    metrics: dict[str, Path]
    splits: tuple[SplitResult, ...]
    stages: tuple[StageResult, ...]
    environment: dict[str, str]

    def median(self, data_set: str, label: str, figure: str) -> float:
        """Median of a figure over the splits, such as `median("livec", "mos", "srcc")`."""
        return float(np.median(self.values(data_set, label, figure)))

    def values(self, data_set: str, label: str, figure: str) -> list[float]:
        """A figure in each split."""
        return [
            float(getattr(result.figures[label], figure))
            for split in self.splits
            for result in split.data_sets
            if result.data_set == data_set
        ]


def test_result(
    dataset: LabelledImages, images: NDArray[np.intp], scores: NDArray[np.float64], seed: int
) -> DataSetResult:
    """Set a model's scores against the labels of test images."""
    figures: dict[str, RatingFigures | ClassFigures] = {}
    if dataset.classes is not None:
        figures["classes"] = evaluate_classes(scores, dataset.classes[images], dataset.labels, dataset.positive_labels)
    elif dataset.ratings is not None:
        for column, label in enumerate(dataset.labels):
            ratings = dataset.ratings[images, column]
            if dataset.ranks_within_groups and dataset.groups is not None:
                groups = [dataset.groups[index] for index in images]
                figures[label] = evaluate_within_groups(scores[:, column], ratings, groups)
            elif np.isnan(ratings).all():
                figures[label] = RatingFigures(n=0, srcc=np.nan, plcc=np.nan, krcc=np.nan)
            else:
                figures[label] = rating_figures(scores[:, column], ratings, scale=dataset.scales[column], seed=seed)
    return DataSetResult(data_set=dataset.name, images=images, scores=scores, figures=figures)


def medians(result: RunResult) -> dict[str, dict[str, dict[str, float]]]:
    """Medians over the splits, by data set, label and figure."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for one in result.splits[0].data_sets if result.splits else ():
        for label, figures in one.figures.items():
            numbers = [name for name, value in asdict(figures).items() if isinstance(value, float)]
            found.setdefault(one.data_set, {})[label] = {
                name: result.median(one.data_set, label, name) for name in numbers
            }
    return found
