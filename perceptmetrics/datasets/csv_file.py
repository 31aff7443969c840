"""Any folder of images with a CSV of ratings or classes.

Layout: a CSV (`labels.csv`, or the only one in the folder) with a header, a column of image names and columns of
ratings or a column of classes. A name is a path relative to the folder, or a file name that occurs once in it at any
depth.

Scale: `lower` and `upper` are the ends of the raters' scale, `lower_is_better` its direction. Without them, the lowest
and highest rating of the column are used and a warning is logged. Splits: from a `split_column` with `train`,
`validation` (or `val`) and `test`; otherwise random, keeping images with the same `group_column` value together.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import numpy as np

from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import LabelledImages, Scale, Split
from perceptmetrics.datasets.listing import Listing, Missing, assemble
from perceptmetrics.datasets.locate import find_files
from perceptmetrics.datasets.table import Table, read_table
from perceptmetrics.errors import DatasetError, InvalidOptionError, nearest_names
from perceptmetrics.spec import Task

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["INFO", "read"]

INFO = DatasetInfo(
    name="csv",
    title="any folder with a CSV",
    task="quality",
    paper="your own",
    licence="your own",
    obtain="the images that the CSV names",
    scale="options lower, upper, lower_is_better",
    splits="a column, or 10 drawn, 80/20, by group",
)
PARTS = {"train": "train", "training": "train", "val": "validation", "validation": "validation", "test": "test"}

_log = logging.getLogger(__name__)


def read(
    root: Path,
    missing: Missing,
    *,
    table: str | None = None,
    image_column: str | None = None,
    columns: Sequence[str] | None = None,
    class_column: str | None = None,
    group_column: str | None = None,
    split_column: str | None = None,
    lower: float | Sequence[float] | None = None,
    upper: float | Sequence[float] | None = None,
    lower_is_better: bool = False,
    positive_labels: Sequence[str] = (),
    task: Task | None = None,
) -> LabelledImages:
    """Read a folder and its CSV.

    Args:
        root: The folder.
        missing: See `load_dataset`.
        table: The CSV, a path relative to the folder; None for `labels.csv` or the only CSV in it.
        image_column: Column of the image names; None to find it by its name.
        columns: Columns of ratings; None for all columns that hold only numbers.
        class_column: Column of classes, instead of ratings.
        group_column: Column that is equal for images of the same content.
        split_column: Column with train, validation or test.
        lower: Lower end of the scale, one number or one per column.
        upper: Upper end of the scale, likewise.
        lower_is_better: Whether the lower end is the good one.
        positive_labels: For classes that are emotions, the pleasant ones.
        task: Task of the labels; None for quality, attribute (several columns) or emotion (classes).
    """
    if task is not None and task not in get_args(Task):
        raise InvalidOptionError(f"task must be one of the tasks, got {task!r}. {nearest_names(task, get_args(Task))}")
    labels = read_table(_table_path(root, table))
    name_column = labels.image_column(image_column)
    names = labels.image_names(name_column)
    listing = Listing(
        info=INFO,
        names=tuple(names),
        images=tuple(find_files(names, root)),
        labels=(),
        groups=None if group_column is None else tuple(labels.column(group_column)),
        official_splits=() if split_column is None else (_split(labels, split_column),),
        task=task,
    )
    if class_column is not None:
        if columns is not None or lower is not None or upper is not None or lower_is_better:
            raise InvalidOptionError("class_column excludes columns, lower, upper and lower_is_better.")
        return assemble(_with_classes(listing, labels, class_column, positive_labels), missing)
    if positive_labels:
        raise InvalidOptionError("positive_labels needs class_column.")
    stated = [columns] if isinstance(columns, str) else columns
    others = [column for column in (name_column, group_column, split_column) if column is not None]
    chosen = labels.rating_columns(stated, besides=others)
    ratings = np.array([labels.numbers(column) for column in chosen], dtype=np.float64).T
    warns = stated is not None or len(chosen) == 1  # of columns that are guessed, training says more in one message
    scales = _scales(chosen, ratings, lower, upper, higher_is_better=not lower_is_better, warns=warns)
    rated = replace(listing, labels=tuple(chosen), ratings=ratings, scales=scales)
    listed = replace(rated, task=task or ("attribute" if len(chosen) > 1 else "quality"))
    return replace(assemble(listed, missing), labels_are_guessed=stated is None)


def _table_path(root: Path, table: str | None) -> Path:
    if not root.is_dir():
        raise DatasetError(f"Expected a folder with a CSV, got {str(root)!r}, which is not a folder.")
    if table is not None:
        return root / table
    if (root / "labels.csv").is_file():
        return root / "labels.csv"
    tables = sorted(root.glob("*.csv"))
    if len(tables) != 1:
        found = ", ".join(path.name for path in tables) or "none"
        raise DatasetError(f"Expected labels.csv or a single CSV in {root}, got {found}. Choose one with table=.")
    return tables[0]


def _with_classes(listing: Listing, table: Table, column: str, positive_labels: Sequence[str]) -> Listing:
    cells = table.column(column)
    nameless = next((name for name, cell in zip(listing.names, cells, strict=True) if not cell), None)
    if nameless is not None:
        raise DatasetError(f"{table.path}: {nameless!r} has no class in the column {column!r}. Remove its row.")
    labels = tuple(sorted(set(cells)))
    positive = (positive_labels,) if isinstance(positive_labels, str) else tuple(positive_labels)
    for label in positive:
        if label not in labels:
            raise InvalidOptionError(f"positive_labels: there is no class {label!r}. {nearest_names(label, labels)}")
    index_of = {label: index for index, label in enumerate(labels)}
    classes = np.array([index_of[cell] for cell in cells], dtype=np.intp)
    return replace(listing, labels=labels, classes=classes, positive_labels=positive, task=listing.task or "emotion")


def _split(table: Table, column: str) -> Split:
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for index, cell in enumerate(table.column(column)):
        if cell.lower() not in PARTS:
            raise DatasetError(
                f"{table.path}: expected train, validation or test in the column {column!r}, got {cell!r}."
            )
        parts[PARTS[cell.lower()]].append(index)
    return Split(**{name: np.array(indices, dtype=np.intp) for name, indices in parts.items()})


def _scales(
    columns: Sequence[str],
    ratings: NDArray[np.float64],
    lower: float | Sequence[float] | None,
    upper: float | Sequence[float] | None,
    *,
    higher_is_better: bool,
    warns: bool,
) -> tuple[Scale, ...]:
    ends = zip(columns, ratings.T, _ends("lower", lower, columns), _ends("upper", upper, columns), strict=True)
    scales = []
    for column, numbers, low, high in ends:
        if warns and (low is None or high is None):
            _log.warning(
                "%r: lower and upper are not given, so the lowest and highest rating (%g, %g) are used as the ends of "
                "the scale.",
                column,
                np.nanmin(numbers),
                np.nanmax(numbers),
            )
        least = float(np.nanmin(numbers)) if low is None else low
        greatest = float(np.nanmax(numbers)) if high is None else high
        if least == greatest and (low is None or high is None):
            greatest = least + 1.0  # equal ratings are told elsewhere
        scales.append(Scale(lower=least, upper=greatest, higher_is_better=higher_is_better))
    return tuple(scales)


def _ends(option: str, ends: float | Sequence[float] | None, columns: Sequence[str]) -> list[float | None]:
    several: list[float | None] = [*ends] if isinstance(ends, Sequence) else [ends] * len(columns)
    if len(several) != len(columns) or not all(_is_end(end) for end in several):
        raise InvalidOptionError(
            f"{option} must be a number, or one number for each of the columns {', '.join(columns)}, got {ends!r}."
        )
    return several


def _is_end(end: object) -> bool:
    return end is None or (isinstance(end, (int, float)) and not isinstance(end, bool) and math.isfinite(end))
