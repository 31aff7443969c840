"""Report benchmarks as a page, plots and tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.evaluation import ClassResult, predictions_csv
from perceptmetrics.reports.files import Makers, failures, json_bytes, plot_makers
from perceptmetrics.reports.mistakes import confused_images, small_image
from perceptmetrics.reports.pages import jpeg_uri, png_uri, render_page
from perceptmetrics.reports.plots import ConfusionPanel, ScatterPanel, draw_confusion, draw_scatter, figure_bytes
from perceptmetrics.reports.statistics import CLASS_HEADINGS, RATING_HEADINGS, statistic_cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from perceptmetrics.evaluation import Benchmark, RatingResult

__all__ = ["BENCHMARK_FORMATS", "BENCHMARK_STEMS", "benchmark_makers"]

BENCHMARK_FORMATS = ("html", "png", "svg", "pdf", "csv", "json")
BENCHMARK_STEMS = {
    "html": "benchmark", "png": "benchmark", "svg": "benchmark", "pdf": "benchmark", "csv": "predictions",
    "json": "statistics",
}  # fmt: skip
_MOST_SHOWN = 24  # images of a confusion


def benchmark_makers(
    benchmarks: Sequence[Benchmark], *, title: str, confusion: tuple[str, str] | None = None
) -> Makers:
    """Makers of `BENCHMARK_FORMATS`; the CSV holds the predictions, the JSON the statistics.

    Args:
        benchmarks: Benchmarks on one or several data sets, all with ratings or all with classes.
        title: Title of the page.
        confusion: A class and another one that is predicted for it; the page shows the images.
    """

    def draw() -> Figure:
        return _draw(benchmarks)

    return {
        "html": lambda: _page(benchmarks, title, confusion),
        **plot_makers(draw),
        "csv": lambda: predictions_csv(benchmarks),
        "json": lambda: json_bytes("benchmark", {"benchmarks": [_summary(benchmark) for benchmark in benchmarks]}),
    }


def _summary(benchmark: Benchmark) -> dict[str, object]:
    return {
        "dataset": benchmark.dataset.name,
        "task": benchmark.dataset.task,
        "images": len(benchmark.dataset),
        "splits": [
            {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)}
            for split in benchmark.splits
        ],
        "seed_of_intervals": benchmark.seed,
        "missing": benchmark.dataset.missing,
        "failed": failures(benchmark.predictions.failed),
        "ratings": [
            {
                "metric": result.metric,
                "score": result.column,
                "rating": result.rating,
                "scale": result.scale,
                "all_images": result.statistics,
                "median_of_tests": result.medians,
                "tests": result.on_tests,
            }
            for result in benchmark.ratings
        ],
        "classes": [
            {
                "metric": result.metric,
                "all_images": result.statistics,
                "median_of_tests": result.medians,
                "tests": result.on_tests,
            }
            for result in benchmark.classes
        ],
    }


def _draw(benchmarks: Sequence[Benchmark]) -> Figure:
    matrices = [_matrix(benchmark, result) for benchmark in benchmarks for result in benchmark.classes]
    if matrices:
        return draw_confusion(matrices)
    return draw_scatter([_panel(benchmark, result) for benchmark in benchmarks for result in benchmark.ratings])


def _panel(benchmark: Benchmark, result: RatingResult) -> ScatterPanel:
    """Scores, oriented so that higher is better, against ratings in their own unit."""
    column = benchmark.dataset.labels.index(result.rating)
    ratings = benchmark.dataset.ratings
    normalised = np.empty(0) if ratings is None else ratings[:, column]
    shown = np.isfinite(result.predictions - normalised)
    scores, found = result.predictions[shown], result.statistics
    curve, x = found.curve4, np.linspace(scores.min(), scores.max(), 400)
    drawn = curve.kind != "none"
    return ScatterPanel(
        x=scores.tolist(),
        y=result.scale.restore(normalised[shown]).tolist(),
        x_name=f"score: {result.column}",
        y_name=f"{benchmark.dataset.name}: {result.rating}",
        note=f"N {found.n}, SRCC {found.srcc:.3f}\nPLCC {found.plcc:.3f}, fitted {found.plcc_logistic4:.3f}",
        curve_x=x.tolist() if drawn else (),
        curve_y=result.scale.restore(curve(x)).tolist() if drawn else (),
        curve_name="linear fit" if curve.kind == "linear" else "logistic fit",
    )


def _matrix(benchmark: Benchmark, result: ClassResult) -> ConfusionPanel:
    found = result.statistics
    return ConfusionPanel(
        labels=found.labels,
        counts=found.confusion,
        title=f"{result.metric} on {benchmark.dataset.name}\nN {found.n}, accuracy {found.accuracy:.1%}",
    )


def _page(benchmarks: Sequence[Benchmark], title: str, confusion: tuple[str, str] | None) -> bytes:
    return render_page(
        "benchmark.html",
        title=title,
        sections=[_section(benchmark) for benchmark in benchmarks],
        galleries=[
            _gallery(benchmark, result, confusion)
            for benchmark in benchmarks
            for result in benchmark.classes
            if confusion is not None and set(confusion) <= set(benchmark.dataset.labels)
        ],
        plot=png_uri(figure_bytes(_draw(benchmarks), "png")),
    )


def _gallery(benchmark: Benchmark, result: ClassResult, confusion: tuple[str, str]) -> dict[str, object]:
    """The images of one class that a metric takes for another."""
    dataset = benchmark.dataset
    classes = np.empty(0, dtype=np.intp) if dataset.classes is None else dataset.classes
    scored = np.flatnonzero(np.isfinite(result.probabilities).all(axis=1))
    tested = [(scored, classes[scored], result.probabilities[scored])]
    found = confused_images(confusion, dataset.labels, tested)
    return {
        "heading": f"{dataset.name} by {result.metric}: {confusion[0]} taken for {confusion[1]}, {len(found)} images",
        "images": [
            {
                "uri": jpeg_uri(small_image(dataset, index), quality=80),
                "name": dataset.names[index],
                "confidence": f"{confidence:.0%}",
            }
            for index, confidence in list(found.items())[:_MOST_SHOWN]
        ],
    }


def _section(benchmark: Benchmark) -> dict[str, object]:
    headings = RATING_HEADINGS if benchmark.ratings else CLASS_HEADINGS
    rows = [row for result in benchmark.ratings or benchmark.classes for row in _rows(result, headings)]
    notes = [
        f"{result.rating} by {result.column}: {curve.kind} ({curve.fallback})"
        for result in benchmark.ratings
        for curve in (result.statistics.curve4, result.statistics.curve5)
        if curve.fallback
    ]
    return {
        "dataset": benchmark.dataset.name,
        "images": len(benchmark.dataset),
        "tests": len(benchmark.splits),
        "headings": list(headings.values()),
        "rows": rows,
        "notes": notes,
        "missing": benchmark.dataset.missing,
        "failed": failures(benchmark.predictions.failed),
    }


def _rows(result: RatingResult | ClassResult, headings: dict[str, str]) -> list[dict[str, object]]:
    """Table rows of a result: the whole set with intervals, and the medians over the test parts."""
    name = result.metric if isinstance(result, ClassResult) else f"{result.column} on {result.rating}"
    found = asdict(result.statistics)
    whole = [statistic_cell(found[key], found.get(f"{key}_interval")) for key in headings]
    rows: list[dict[str, object]] = [{"name": name, "what": f"all {found['n']}", "cells": whole}]
    if result.medians:
        medians = [statistic_cell(result.medians[key], None) for key in headings]
        rows.append({"name": name, "what": f"median of {len(result.on_tests)} tests", "cells": medians})
    return rows
