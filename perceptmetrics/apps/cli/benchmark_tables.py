"""The tables that `benchmark` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.apps.cli.cells import foreign, format_interval, format_number, new_table

if TYPE_CHECKING:
    from rich.table import Table

    from perceptmetrics.evaluation import Benchmark

__all__ = ["class_table", "rating_table"]

_RATING_COLUMNS = {
    "srcc": ("SRCC", ".4f"),
    "plcc": ("PLCC", ".4f"),
    "plcc_logistic4": ("PLCC 4", ".4f"),
    "plcc_logistic5": ("PLCC 5", ".4f"),
    "krcc": ("KRCC", ".4f"),
    "rmse": ("RMSE", ".4g"),
    "rmse_logistic4": ("RMSE 4", ".4g"),
    "mse": ("MSE", ".4g"),
}
_CLASS_COLUMNS = {
    "accuracy": "accuracy",
    "binary_accuracy": "binary",
    "mean_average_precision": "mAP",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
}


def rating_table(benchmark: Benchmark) -> Table:
    """Statistics of each score and rating: a row for all images, one for the median over test parts."""
    headings = [heading for heading, _ in _RATING_COLUMNS.values()]
    table = new_table(("score", "rating", "images"), [headings[0], "95 %", headings[1], "95 %", *headings[2:]])
    for result in benchmark.ratings:
        statistics = result.statistics
        cells = [format_number(getattr(statistics, name), form) for name, (_, form) in _RATING_COLUMNS.items()]
        cells.insert(1, format_interval(statistics.srcc_interval, ".3f"))
        cells.insert(3, format_interval(statistics.plcc_interval, ".3f"))
        table.add_row(foreign(result.column), foreign(result.rating), f"all {statistics.n}", *cells)
        if result.medians:
            medians = [format_number(result.medians[name], form) for name, (_, form) in _RATING_COLUMNS.items()]
            tests = f"median of {len(result.on_tests)} tests"
            table.add_row("", "", tests, medians[0], "", medians[1], "", *medians[2:])
    return table


def class_table(benchmark: Benchmark) -> Table:
    """Statistics of each metric: a row for all images, one for the median over test parts."""
    headings = list(_CLASS_COLUMNS.values())
    table = new_table(("metric", "images"), [headings[0], "95 %", *headings[1:]])
    for result in benchmark.classes:
        statistics = result.statistics
        cells = [format_number(getattr(statistics, name), ".4f") for name in _CLASS_COLUMNS]
        cells.insert(1, format_interval(statistics.accuracy_interval, ".3f"))
        table.add_row(foreign(result.metric), f"all {statistics.n}", *cells)
        if result.medians:
            medians = [format_number(result.medians[name], ".4f") for name in _CLASS_COLUMNS]
            table.add_row("", f"median of {len(result.on_tests)} tests", medians[0], "", *medians[1:])
    return table
