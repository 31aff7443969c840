"""Turn the results of a run into the panels of its plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.evaluation import ClassStatistics, RatingStatistics
from perceptmetrics.finetune.training.epochs import kept_epoch
from perceptmetrics.reports.plots import ConfusionPanel, CurvePanel, HistogramPanel, ScatterPanel, TrainingCurve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune import DataSetResult, EpochRecord, RunResult, StageResult

__all__ = [
    "confusion_panel",
    "curve_panels",
    "histogram_panel",
    "results_on",
    "scatter_panel",
    "selection_name",
    "typical_split",
]

Points = tuple["NDArray[np.float64]", "NDArray[np.float64]"]


def curve_panels(result: RunResult) -> dict[str, list[CurvePanel]]:
    """Loss and validation statistic per epoch, by stage.

    Each learning rate has its own curve. The first split is drawn clearly and the others faintly; the epoch whose
    weights were kept is marked. Panels without values are left out.
    """
    stages: dict[str, list[StageResult]] = {}
    for stage in result.stages:
        stages.setdefault(stage.name.stage, []).append(stage)
    panels = {}
    for name, several in stages.items():
        shown = [_panel(result, several, "loss", lambda record: record.loss)]
        shown += [_validation_panel(result, several, dataset) for dataset in result.datasets]
        panels[name] = [panel for panel in shown if any(np.isfinite(curve.values).any() for curve in panel.curves)]
    return panels


def _validation_panel(result: RunResult, stages: Sequence[StageResult], dataset: LabelledImages) -> CurvePanel:
    name = f"validation {selection_name(dataset)}" + (f": {dataset.name}" if len(result.datasets) > 1 else "")
    return _panel(result, stages, name, lambda record: record.validation.get(dataset.name, float("nan")))


def _panel(
    result: RunResult, stages: Sequence[StageResult], y_name: str, value: Callable[[EpochRecord], float]
) -> CurvePanel:
    curves = []
    for stage in stages:
        on_all = stage.name.split == len(result.splits)
        judged = any(np.isfinite(record.selection) for record in stage.records)
        curves.append(
            TrainingCurve(
                name=f"learning rate {stage.name.lr:g}{', all images' if on_all else ''}",
                values=[value(record) for record in stage.records],
                best=kept_epoch(stage.records, result.recipe.optimizer.keep) if judged else None,
                faint=0 < stage.name.split < len(result.splits),
            )
        )
    several = f"clear: split 1, faint: splits 2 to {len(result.splits)}"
    return CurvePanel(curves=curves, y_name=y_name, title=several if any(curve.faint for curve in curves) else "")


def selection_name(dataset: LabelledImages) -> str:
    """Name of the statistic by which models are selected, see `finetune.data.objectives.selection_statistic`."""
    if dataset.classes is not None:
        return "accuracy"
    if dataset.ranks_within_groups:
        return "fraction of pairs in order"
    return "SRCC" if len(dataset.labels) == 1 else "mean SRCC"


def results_on(result: RunResult, dataset: LabelledImages) -> list[DataSetResult]:
    """The results on a data set, one per split."""
    return [one for split in result.splits for one in split.data_sets if one.data_set == dataset.name]


def typical_split(result: RunResult, dataset: LabelledImages, label: str) -> int:
    """Index of the split whose main statistic is nearest to the average that the run reports; the first of equals."""
    statistic = "srcc" if dataset.classes is None else "accuracy"
    distances = np.abs(
        np.array(result.values(dataset.name, label, statistic)) - result.average(dataset.name, label, statistic)
    )
    return 0 if np.isnan(distances).all() else int(np.nanargmin(distances.round(9)))


def scatter_panel(result: RunResult, dataset: LabelledImages, label: str) -> ScatterPanel | None:
    """Predictions against ratings for the test images of the typical split, both on the scale of the raters.

    Test images of the other splits are drawn behind. None if no prediction is finite.
    """
    others = results_on(result, dataset)
    shown = typical_split(result, dataset, label)
    first = others.pop(shown)
    found = first.statistics[label]
    x, y = _points(dataset, [first], label)
    if not len(x) or not isinstance(found, RatingStatistics):
        return None
    behind_x, behind_y = _points(dataset, others, label)
    column = dataset.labels.index(label)
    scores = first.scores[:, column]
    path = np.linspace(np.nanmin(scores), np.nanmax(scores), 400)
    drawn, scale = found.curve4.kind != "none", dataset.scales[column]
    return ScatterPanel(
        x=x.tolist(),
        y=y.tolist(),
        x_name=f"predicted {label}",
        y_name=f"{dataset.name}: {label}",
        note=f"N {found.n}, SRCC {found.srcc:.3f}\nPLCC {found.plcc:.3f}, fitted {found.plcc_logistic4:.3f}",
        curve_x=scale.restore(path).tolist() if drawn else (),
        curve_y=scale.restore(found.curve4(path)).tolist() if drawn else (),
        curve_name="linear fit" if found.curve4.kind == "linear" else "logistic fit",
        behind_x=behind_x.tolist(),
        behind_y=behind_y.tolist(),
        names=(f"split {shown + 1}", "other splits") if others else ("image", ""),
    )


def histogram_panel(result: RunResult, dataset: LabelledImages, label: str) -> HistogramPanel | None:
    """Predictions and ratings of the test images of all splits; None if no prediction is finite."""
    predicted, rated = _points(dataset, results_on(result, dataset), label)
    if not len(predicted):
        return None
    splits = f" of {len(result.splits)} splits" if len(result.splits) > 1 else ""
    return HistogramPanel(
        samples=[("predicted", predicted.tolist()), ("rated by people", rated.tolist())],
        x_name=f"{dataset.name}: {label}",
        title=f"{len(predicted)} test images{splits}",
    )


def _points(dataset: LabelledImages, results: Sequence[DataSetResult], label: str) -> Points:
    """Finite predictions and their ratings, on the scale of the raters."""
    column = dataset.labels.index(label)
    if dataset.ratings is None or not results:
        return np.empty(0), np.empty(0)
    scores = np.concatenate([one.scores[:, column] for one in results])
    ratings = np.concatenate([dataset.ratings[one.images, column] for one in results])
    known = np.isfinite(scores) & np.isfinite(ratings)
    scale = dataset.scales[column]
    return scale.restore(scores[known]), scale.restore(ratings[known])


def confusion_panel(result: RunResult, dataset: LabelledImages) -> ConfusionPanel:
    """Confusion matrix over the test images of all splits."""
    found = [one.statistics["classes"] for one in results_on(result, dataset)]
    counts = np.sum([np.asarray(one.confusion) for one in found if isinstance(one, ClassStatistics)], axis=0)
    splits = f" of {len(found)} splits" if len(found) > 1 else ""
    return ConfusionPanel(
        labels=dataset.labels, counts=counts.tolist(), title=f"{dataset.name}: {int(counts.sum())} test images{splits}"
    )
