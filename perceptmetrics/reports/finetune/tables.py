"""Make the tables of the report of a run, as plain cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np

from perceptmetrics.reports.finetune.panels import results_on, typical_split
from perceptmetrics.reports.statistics import CLASS_HEADINGS, RATING_HEADINGS, UNDEFINED, shown_number, statistic_cell

if TYPE_CHECKING:
    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune import RunResult

__all__ = ["count_rows", "label_keys", "split_table", "statistics_tables", "training_time"]

_INTERVALS = ("srcc", "plcc", "accuracy")


class StatisticsRow(TypedDict):
    """Statistics of one rating, or of classes."""

    name: str
    what: str
    cells: list[dict[str, str]]


class StatisticsTable(TypedDict):
    """Rows of statistics with their headings."""

    headings: list[str]
    rows: list[StatisticsRow]


def label_keys(dataset: LabelledImages) -> tuple[str, ...]:
    """Keys of a data set's statistics in a result."""
    return dataset.labels if dataset.classes is None else ("classes",)


def statistics_tables(result: RunResult) -> list[StatisticsTable]:
    """Statistics on the test images: a table for data sets with ratings, and one for data sets with classes."""
    tables: list[StatisticsTable] = []
    for headings, classes in ((RATING_HEADINGS, False), (CLASS_HEADINGS, True)):
        datasets = [dataset for dataset in result.datasets if (dataset.classes is not None) == classes]
        rows = [row for dataset in datasets for label in label_keys(dataset) for row in _rows(result, dataset, label)]
        if rows:
            tables.append(_without_empty_columns([*headings.values()], rows))
    return tables


def _without_empty_columns(headings: list[str], rows: list[StatisticsRow]) -> StatisticsTable:
    defined = [
        number for number in range(len(headings)) if any(row["cells"][number]["value"] != UNDEFINED for row in rows)
    ]
    return StatisticsTable(
        headings=[headings[number] for number in defined],
        rows=[
            StatisticsRow(name=row["name"], what=row["what"], cells=[row["cells"][number] for number in defined])
            for row in rows
        ],
    )


def _rows(result: RunResult, dataset: LabelledImages, label: str) -> list[StatisticsRow]:
    """The average with the lowest and highest value over several splits, and the typical split with its intervals."""
    number = typical_split(result, dataset, label)
    one_split = results_on(result, dataset)[number].statistics[label]
    headings = RATING_HEADINGS if dataset.classes is None else CLASS_HEADINGS
    name = f"{dataset.name}: {label}" if dataset.classes is None else dataset.name
    rows: list[StatisticsRow] = []
    if len(result.splits) > 1:
        cells = []
        for key in headings:
            values = result.values(dataset.name, label, key)
            cells.append(statistic_cell(result.average(dataset.name, label, key), (min(values), max(values))))
        what = f"{result.recipe.report.average} of {len(result.splits)} splits"
        rows.append({"name": name, "what": what, "cells": cells})
    cells = [
        statistic_cell(getattr(one_split, key), getattr(one_split, f"{key}_interval") if key in _INTERVALS else None)
        for key in headings
    ]
    where = f"split {number + 1}, " if len(result.splits) > 1 else ""
    return [*rows, {"name": name, "what": f"{where}{one_split.n} test images", "cells": cells}]


def split_table(result: RunResult) -> dict[str, object]:
    """Each split: the choices made on its validation images, and the main statistic on its test images."""
    rates = result.recipe.optimizer.lr
    tested = [(dataset, label) for dataset in result.datasets for label in label_keys(dataset)]
    headings = ["split", "learning rate", "kept epoch", "epochs"]
    headings += [f"validation at {rate:g}" for rate in rates] if len(rates) > 1 else ["validation"]
    for dataset, label in tested:
        statistic, what = ("accuracy", "") if dataset.classes is not None else ("SRCC", f" {label}")
        headings.append(f"{dataset.name}{what}: {statistic}")
    rows = []
    for split in result.splits:
        found = {(one.data_set, label): value for one in split.data_sets for label, value in one.statistics.items()}
        epochs = [
            len(stage.records)
            for stage in result.stages
            if (stage.name.split, stage.name.lr, stage.name.stage) == (split.number, split.lr, "main")
        ]
        cells = [str(split.number + 1), f"{split.lr:g}", str(split.best_epoch + 1), str(sum(epochs))]
        cells += [shown_number(split.tried[rate]) for rate in rates]
        for dataset, label in tested:
            one = found[dataset.name, label]
            cells.append(shown_number(getattr(one, "srcc" if dataset.classes is None else "accuracy")))
        rows.append(cells)
    return {"headings": headings, "rows": rows}


def count_rows(result: RunResult) -> list[list[str]]:
    """For each data set: numbers of images, missing images and groups, and sizes of the parts of the first split."""
    rows = []
    for number, dataset in enumerate(result.datasets):
        split = result.splits[0].parts[number]
        counts = [len(dataset), len(dataset.missing)]
        parts = [len(split.train), len(split.validation), len(split.test)]
        groups = UNDEFINED if dataset.groups is None else f"{len(np.unique(dataset.groups)):,}"
        rows.append([dataset.name, *(f"{count:,}" for count in counts), groups, *(f"{part:,}" for part in parts)])
    return rows


def training_time(result: RunResult) -> str:
    """Total time of all trainings."""
    seconds = round(sum(record.seconds for stage in result.stages for record in stage.records))
    hours, minutes = divmod(seconds // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"
