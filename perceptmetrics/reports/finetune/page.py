"""Render the page of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.evaluation import RatingStatistics
from perceptmetrics.export.card import interval_sentence
from perceptmetrics.finetune import recipe_to_yaml
from perceptmetrics.finetune.data.batches import split_notes
from perceptmetrics.finetune.run.headline import LEVEL
from perceptmetrics.reports.finetune.errors import USUAL, WORST, ErrorChoice, worst_errors
from perceptmetrics.reports.finetune.panels import (
    confusion_panel,
    curve_panels,
    histogram_panel,
    results_on,
    scatter_panel,
    selection_name,
    typical_split,
)
from perceptmetrics.reports.finetune.tables import count_rows, label_keys, split_table, statistics_tables, training_time
from perceptmetrics.reports.mistakes import small_image
from perceptmetrics.reports.pages import jpeg_uri, png_uri, render_page
from perceptmetrics.reports.plots import draw_confusion, draw_curves, draw_histograms, draw_scatter, figure_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune import RunResult
    from perceptmetrics.reports.finetune.errors import ErrorImage
    from perceptmetrics.reports.plots import ConfusionPanel

__all__ = ["finetune_report"]

_STAGES = {"main": "Training", "head_first": "Heads first, with the encoder frozen"}


def finetune_report(result: RunResult, errors: ErrorChoice = USUAL) -> bytes:
    """Render a self-contained page: statistics, plots, worst errors, training curves, data, recipe, environment.

    Args:
        result: The result of `finetune`.
        errors: Which errors are shown.

    Returns:
        HTML in UTF-8.
    """
    return render_page(
        "finetune.html",
        title=", ".join(spec.name for spec in result.specs) or result.recipe.name,
        recipe=result.recipe,
        splits=len(result.splits),
        time=training_time(result),
        metrics={name: folder.as_posix() for name, folder in result.metrics.items()},
        tables=statistics_tables(result),
        sections=[_section(result, one, label, errors) for one in result.datasets for label in label_keys(one)],
        stages=_stages(result),
        headlines=[(one.sentence, one.caution) for one in result.headlines],
        level=f"{LEVEL * 100:.0f}",
        average=result.recipe.report.average,
        untouched="" if result.untouched is None else result.untouched.name,
        intervals=[sentence for spec in result.specs if (sentence := interval_sentence(spec))],
        selects=any(np.isfinite(record.selection) for stage in result.stages for record in stage.records),
        rated=any(dataset.ratings is not None for dataset in result.datasets),
        selection=", ".join(dict.fromkeys(selection_name(dataset) for dataset in result.datasets)),
        split_table=split_table(result),
        counts=count_rows(result),
        pooled=[
            (f"{dataset.name} {one.label}".strip(), one.sentence)
            for dataset in result.datasets
            for one in dataset.pooled
        ],
        split_notes=split_notes(result.recipe, result.datasets),
        overlaps=[
            (str(overlap), [f"{name} = {twin}" for name, twin in zip(overlap.names, overlap.twins, strict=True)])
            for overlap in result.overlaps
        ],
        missing=[(dataset.name, dataset.missing) for dataset in result.datasets if dataset.missing],
        yaml=recipe_to_yaml(result.recipe),
        environment=result.environment,
    )


def _section(result: RunResult, dataset: LabelledImages, label: str, choice: ErrorChoice) -> dict[str, object]:
    """The section of a rating of a data set, or of its classes."""
    found = results_on(result, dataset)[typical_split(result, dataset, label)].statistics[label]
    curve = found.curve4 if isinstance(found, RatingStatistics) else None
    return {
        "heading": f"{dataset.name}: {label}" if len(label_keys(dataset)) > 1 else dataset.name,
        "plots": list(_plots(result, dataset, label)),
        "note": f"No logistic curve: {curve.fallback}." if curve is not None and curve.fallback else "",
        "classes": dataset.classes is not None,
        "in_z_scores": choice.ranking == "z",
        "in_groups": dataset.ranks_within_groups,
        "errors": [
            {"heading": kind.heading, "images": [_error(dataset, image) for image in kind.images]}
            for kind in worst_errors(result, dataset, label, WORST, choice)
        ],
    }


def _error(dataset: LabelledImages, image: ErrorImage) -> dict[str, str]:
    return {
        "uri": jpeg_uri(small_image(dataset, image.index), quality=80),
        "predicted": image.predicted,
        "truth": image.truth,
        "name": dataset.names[image.index],
    }


def _plots(result: RunResult, dataset: LabelledImages, label: str) -> Iterator[dict[str, str]]:
    if dataset.classes is not None:
        panel = confusion_panel(result, dataset)
        yield _plot(draw_confusion([panel]), f"Confusion matrix of {panel.title}; recognised: {_recognised(panel)}")
    elif not dataset.ranks_within_groups:
        scatter, histogram = scatter_panel(result, dataset, label), histogram_panel(result, dataset, label)
        if scatter is not None:
            note = scatter.note.replace("\n", ", ")
            yield _plot(draw_scatter([scatter]), f"Scatter of predictions against {label} of {dataset.name}: {note}")
        if histogram is not None:
            said = f"Histogram of predictions and of ratings, {label} of {dataset.name}, {histogram.title}"
            yield _plot(draw_histograms([histogram]), said)


def _recognised(panel: ConfusionPanel) -> str:
    """The percentage of each class that was recognised, for readers who cannot see the matrix."""
    rows = zip(panel.labels, panel.counts, strict=True)
    recalls = [(label, counts[index] / sum(counts)) for index, (label, counts) in enumerate(rows) if sum(counts)]
    return ", ".join(f"{label} {recall:.0%}" for label, recall in recalls)


def _stages(result: RunResult) -> list[dict[str, object]]:
    """The training curves of each stage."""
    names = {f"head_{dataset.name}": f"Head of {dataset.name} alone" for dataset in result.datasets}
    return [
        {
            "heading": {**names, **_STAGES}[stage],
            "plots": [_plot(draw_curves([panel]), f"{panel.y_name} per epoch") for panel in panels],
        }
        for stage, panels in curve_panels(result).items()
        if panels
    ]


def _plot(figure: Figure, description: str) -> dict[str, str]:
    return {"uri": png_uri(figure_bytes(figure, "png")), "alt": description}
