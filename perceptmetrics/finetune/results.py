"""What a run came to: figures on the test images of each split, and the predictions behind them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from perceptmetrics._util.atomic import replacing
from perceptmetrics._util.version import __version__
from perceptmetrics.datasets import LabelledImages, Split
from perceptmetrics.evaluation import ClassStatistics, RatingStatistics, evaluate_classes
from perceptmetrics.evaluation.ratings import evaluate_within_groups, rating_statistics
from perceptmetrics.finetune.journal import StageName
from perceptmetrics.finetune.recipe import Recipe
from perceptmetrics.finetune.state import EpochRecord
from perceptmetrics.scoring.results import csv_line

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = [
    "DataSetResult",
    "RunResult",
    "SplitResult",
    "StageResult",
    "card_figures",
    "test_result",
    "write_predictions",
    "write_summary",
]


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
    figures: dict[str, RatingStatistics | ClassStatistics]


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
    figures: dict[str, RatingStatistics | ClassStatistics] = {}
    if dataset.classes is not None:
        figures["classes"] = evaluate_classes(scores, dataset.classes[images], dataset.labels, dataset.positive_labels)
    elif dataset.ratings is not None:
        for column, label in enumerate(dataset.labels):
            ratings = dataset.ratings[images, column]
            if dataset.ranks_within_groups and dataset.groups is not None:
                groups = [dataset.groups[index] for index in images]
                figures[label] = evaluate_within_groups(scores[:, column], ratings, groups)
            elif np.isnan(ratings).all():
                figures[label] = RatingStatistics(n=0, srcc=np.nan, plcc=np.nan, krcc=np.nan)
            else:
                figures[label] = rating_statistics(scores[:, column], ratings, scale=dataset.scales[column], seed=seed)
    return DataSetResult(data_set=dataset.name, images=images, scores=scores, figures=figures)


def write_predictions(path: Path, splits: Sequence[SplitResult], datasets: Sequence[LabelledImages]) -> None:
    """Write scores and labels of all test images as a CSV: ratings as shares of their scale, classes by name."""
    by_name = {dataset.name: dataset for dataset in datasets}
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(csv_line(["split", "data_set", "image", "label", "score", "truth"]))
        for split in splits:
            for result in split.data_sets:
                for row in _rows(by_name[result.data_set], result):
                    stream.write(csv_line([str(split.number), result.data_set, *row]))


def _rows(dataset: LabelledImages, result: DataSetResult) -> list[list[str]]:
    rows = []
    for image, scores in zip(result.images.tolist(), result.scores.tolist(), strict=True):
        for column, label in enumerate(dataset.labels):
            if dataset.classes is not None:
                truth = str(int(dataset.classes[image] == column))
            else:
                truth = "" if dataset.ratings is None else f"{dataset.ratings[image, column]:.6f}"
            rows.append([dataset.names[image], label, f"{scores[column]:.6f}", truth])
    return rows


def write_summary(path: Path, result: RunResult, extra: dict[str, Any]) -> None:
    """Write figures of all splits and their medians as JSON; NaN becomes null."""
    splits = [
        {
            "split": split.number,
            "lr": split.lr,
            "validation_by_lr": {f"{lr:g}": value for lr, value in split.tried.items()},
            "best_epoch": split.best_epoch,
            "validation": split.selection,
            "test": {
                one.data_set: {name: asdict(figures) for name, figures in one.figures.items()}
                for one in split.data_sets
            },
        }
        for split in result.splits
    ]
    document = {"perceptmetrics": __version__, **extra, "medians": medians(result), "splits": splits}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(_plain(document), indent=2, allow_nan=False) + "\n", encoding="utf-8")


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


def card_figures(splits: Sequence[SplitResult]) -> dict[str, dict[str, float]]:
    """Medians over the splits for a model card, by data set (and rating, where there are several)."""
    found: dict[str, dict[str, list[float]]] = {}
    for split in splits:
        for one in split.data_sets:
            for label, figures in one.figures.items():
                name = one.data_set if len(one.figures) == 1 else f"{one.data_set}: {label}"
                row = found.setdefault(name, {})
                for measure, value in _card_measures(figures).items():
                    row.setdefault(measure, []).append(value)
    return {name: {measure: float(np.median(values)) for measure, values in row.items()} for name, row in found.items()}


def _card_measures(figures: RatingStatistics | ClassStatistics) -> dict[str, float]:
    if isinstance(figures, ClassStatistics):
        return {"accuracy": figures.accuracy, "map": figures.mean_average_precision, "f1": figures.macro_f1}
    return {"srcc": figures.srcc, "plcc": figures.plcc_logistic4, "rmse": figures.rmse}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
