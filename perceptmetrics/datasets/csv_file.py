"""Any folder of images with a CSV of ratings or classes.

Layout: a CSV (`labels.csv`, or the only one in the folder) with a header, a column of image names and columns of
ratings or a column of classes. A name is a path relative to the folder, or a file name that occurs once in it at any
depth.

Raters: a row is an image. With `rater_column` (or `anonymous_raters`) it is what one person says of an image, with
`rater_columns` it has a column for each person; then the ratings of an image are averaged, and the class with the most
votes is taken.

Scale: `lower` and `upper` are the ends of the raters' scale, `lower_is_better` its direction. Without them, the lowest
and highest rating of the column are used and a warning is logged. Splits: from a `split_column` with `train`,
`validation` (or `val`) and `test`; otherwise random, keeping images with the same `group_column` value together.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import numpy as np

from perceptmetrics.datasets.answers import known_labels, with_mean_ratings, with_most_votes
from perceptmetrics.datasets.csv_rows import rows_of
from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import LabelledImages, Split
from perceptmetrics.datasets.listing import Listing, Missing, assemble
from perceptmetrics.datasets.locate import find_files
from perceptmetrics.datasets.rating_scales import End, Ends, rating_scales
from perceptmetrics.datasets.table import read_table
from perceptmetrics.errors import DatasetError, InvalidOptionError, nearest_names
from perceptmetrics.spec import Task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perceptmetrics.datasets.csv_rows import Rows
    from perceptmetrics.datasets.raters import Repeats, Ties

__all__ = ["INFO", "check_task", "find_table", "read"]

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
    rater_column: str | None = None,
    anonymous_raters: bool = False,
    rater_columns: Sequence[str] | None = None,
    label: str = "rating",
    repeats: Repeats = "error",
    ties: Ties = "error",
    lower: End = None,
    upper: End = None,
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
        rater_column: Column that names the person, if each row is what one person says of an image.
        anonymous_raters: Whether each row is what one person says of an image, although no column names the person.
        rater_columns: Columns with the ratings of one person each, if each row is an image; `"rater_*"` stands for all
            columns that begin so.
        label: Name of the rating for which `rater_columns` hold numbers.
        repeats: What counts where one person rated an image more than once: `"mean"`, `"first"`, `"last"`, or it is an
            `"error"`.
        ties: Whether an image for which several classes have the most votes is an `"error"`, or is left out: `"skip"`.
        lower: Lower end of the scale, one number or one per column.
        upper: Upper end of the scale, likewise.
        lower_is_better: Whether the lower end is the good one.
        positive_labels: For classes that are emotions, the pleasant ones.
        task: Task of the labels; None for quality, attribute (several columns) or emotion (classes).
    """
    check_task(task)
    ends = Ends(lower=lower, upper=upper, lower_is_better=lower_is_better)
    _check_together(class_column, columns, ends, positive_labels, rater_columns)
    rows = rows_of(
        read_table(find_table(root, table)), image_column, rater_column, rater_columns, anonymous=anonymous_raters
    )
    names = rows.answers.names
    listing = Listing(
        info=INFO,
        names=names,
        images=tuple(find_files(names, root)),
        labels=(),
        groups=None if group_column is None else rows.of_images(group_column),
        official_splits=() if split_column is None else (_split(rows, split_column),),
        task=task,
    )
    if class_column is not None:
        listing = _with_classes(listing, rows, class_column, positive_labels, repeats=repeats, ties=ties)
        return assemble(listing, missing)
    others = [column for column in (rows.name_column, group_column, split_column, rater_column) if column is not None]
    stated = [columns] if isinstance(columns, str) else columns
    ratings = rows.ratings_of_raters(label) or {
        column: rows.table.numbers(column) for column in rows.table.rating_columns(stated, besides=others)
    }
    if rows.pools:
        return assemble(with_mean_ratings(listing, rows.answers, ratings, ends, repeats=repeats), missing)
    rated = replace(
        listing,
        labels=tuple(ratings),
        ratings=np.array([*ratings.values()], dtype=np.float64).T,
        scales=rating_scales(ratings, ends),
        task=task or ("attribute" if len(ratings) > 1 else "quality"),
    )
    return assemble(rated, missing)


def check_task(task: str | None) -> None:
    """Refuse what is no task.

    Raises:
        InvalidOptionError: It is none.
    """
    if task is not None and task not in get_args(Task):
        raise InvalidOptionError(f"task must be one of the tasks, got {task!r}. {nearest_names(task, get_args(Task))}")


def _check_together(
    class_column: str | None,
    columns: Sequence[str] | None,
    ends: Ends,
    positive_labels: Sequence[str],
    rater_columns: Sequence[str] | None,
) -> None:
    """Refuse options that exclude each other."""
    if class_column is not None and (columns is not None or ends.stated):
        raise InvalidOptionError("class_column excludes columns, lower, upper and lower_is_better.")
    if class_column is None and positive_labels:
        raise InvalidOptionError("positive_labels needs class_column.")
    if rater_columns is not None and (columns is not None or class_column is not None):
        raise InvalidOptionError("rater_columns hold the ratings of one label; it excludes columns and class_column.")


def find_table(root: Path, table: str | None) -> Path:
    """The table of a folder: `table`, `labels.csv`, or the only CSV in it.

    Raises:
        DatasetError: There is none, or more than one.
    """
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


def _with_classes(
    listing: Listing, rows: Rows, column: str, positive_labels: Sequence[str], *, repeats: Repeats, ties: Ties
) -> Listing:
    cells = rows.table.column(column)
    nameless = next((name for name, cell in zip(rows.answers.images, cells, strict=True) if not cell), None)
    if nameless is not None:
        raise DatasetError(f"{rows.table.path}: {nameless!r} has no class in the column {column!r}. Remove its row.")
    if rows.pools:
        return with_most_votes(
            listing, rows.answers, cells, positive_labels=positive_labels, repeats=repeats, ties=ties
        )
    labels = tuple(sorted(set(cells)))
    index_of = {label: index for index, label in enumerate(labels)}
    return replace(
        listing,
        labels=labels,
        classes=np.array([index_of[cell] for cell in cells], dtype=np.intp),
        positive_labels=known_labels(positive_labels, labels),
        task=listing.task or "emotion",
    )


def _split(rows: Rows, column: str) -> Split:
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for index, cell in enumerate(rows.of_images(column)):
        if cell.lower() not in PARTS:
            raise DatasetError(
                f"{rows.table.path}: expected train, validation or test in the column {column!r}, got {cell!r}."
            )
        parts[PARTS[cell.lower()]].append(index)
    return Split(**{name: np.array(indices, dtype=np.intp) for name, indices in parts.items()})
