"""Any folder of images with a table of choices between two of them.

Layout: a CSV (`labels.csv`, or the only one in the folder) with the columns `image_a`, `image_b` and `winner`, a row
for each choice. The winner is `a`, `b` or `tie`, the name of a column of images, or the name of an image.

Labels: the fraction of the other images that an image wins against, 0..1, from the model of Bradley and Terry; see
`functional.preference`. A tie is half a win of each. Each image has also won and lost `prior` comparisons with an
average image, so that one that always won has a finite score. All images must be connected by comparisons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.datasets.comparisons import Apart, Choice, compared_images, with_win_rates
from perceptmetrics.datasets.csv_file import check_task, find_table
from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.listing import Listing, Missing, assemble
from perceptmetrics.datasets.locate import find_files
from perceptmetrics.datasets.table import Table, read_table
from perceptmetrics.errors import DatasetError, InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from perceptmetrics.datasets.labelled import LabelledImages
    from perceptmetrics.spec import Task

__all__ = ["INFO", "read"]

INFO = DatasetInfo(
    name="choices",
    title="any folder with pairwise choices",
    task="quality",
    paper="your own",
    licence="your own",
    obtain="the images that the table names",
    scale="fraction of the other images that an image wins against, 0..1",
    splits="10 drawn, 80/20",
)
WORDS = {"a": 1.0, "b": 0.0, "tie": 0.5, "draw": 0.5, "equal": 0.5}


def read(
    root: Path,
    missing: Missing,
    *,
    table: str | None = None,
    image_a: str = "image_a",
    image_b: str = "image_b",
    winner: str = "winner",
    rater_column: str | None = None,
    a_wins: str | int | None = None,
    b_wins: str | int | None = None,
    tie: str | int | None = None,
    prior: float = 0.1,
    apart: Apart = "error",
    label: str = "preference",
    task: Task | None = None,
) -> LabelledImages:
    """Read a folder and its table.

    Args:
        root: The folder.
        missing: See `load_dataset`.
        table: The CSV, a path relative to the folder; None for `labels.csv` or the only CSV in it.
        image_a: Column of the names of one image.
        image_b: Column of the names of the other.
        winner: Column of the choice.
        rater_column: Column that names the person who chose.
        a_wins: What the column `winner` says where image A was chosen, if not `a`.
        b_wins: What it says where image B was chosen, if not `b`.
        tie: What it says where neither was, if not `tie`, `draw` or `equal`.
        prior: Comparisons with an average image that each image has also won, and lost; more draws scores together.
        apart: What happens to sets of images that were never compared with each other: an `"error"`, only the
            `"largest"` is used, or they are `"groups"`, within which alone scores are comparable (`loss: ranking`).
        label: Name of the rating.
        task: Task of the labels; None for quality.
    """
    check_task(task)
    rows = read_table(find_table(root, table))
    for option, column in (("image_a", image_a), ("image_b", image_b), ("winner", winner)):
        if column not in rows.header:
            raise DatasetError(
                f"{rows.path} has no column {column!r}; its columns are {', '.join(rows.header)}. Say which one it is: "
                f"--option {option}=NAME."
            )
    stated = _words(a_wins, b_wins, tie)
    choices = _choices(rows, (image_a, image_b, winner), rater_column, stated)
    names = compared_images(choices, str(rows.path))
    listing = Listing(info=INFO, names=names, images=tuple(find_files(names, root)), labels=(), task=task)
    rated = with_win_rates(listing, choices, str(rows.path), label=label, prior=prior, apart=apart)
    return assemble(rated, missing)


def _words(a_wins: object, b_wins: object, tie: object) -> dict[str, float]:
    """What the column of the choice may say, and the outcome."""
    given = {
        str(word).lower(): outcome for word, outcome in ((a_wins, 1.0), (b_wins, 0.0), (tie, 0.5)) if word is not None
    }
    if len(given) < sum(word is not None for word in (a_wins, b_wins, tie)):
        raise InvalidOptionError(f"a_wins, b_wins and tie must differ, got {a_wins!r}, {b_wins!r} and {tie!r}.")
    replaced = {outcome for outcome in given.values() if outcome != 0.5}
    return {word: outcome for word, outcome in WORDS.items() if outcome not in replaced} | given


def _choices(
    rows: Table, columns: tuple[str, str, str], rater_column: str | None, words: Mapping[str, float]
) -> list[Choice]:
    names = [rows.column(column) for column in columns]
    raters = [""] * len(rows.lines) if rater_column is None else rows.column(rater_column)
    sides = {columns[0].lower(): 1.0, columns[1].lower(): 0.0}
    choices = []
    for first, second, cell, rater, line in zip(*names, raters, rows.lines, strict=True):
        place = f"{rows.path}, line {line}"
        if not first or not second:
            raise DatasetError(f"{place}: the name of an image is missing. Remove the row.")
        said = {*_said(cell.lower(), words), *_said(cell.lower(), sides)}
        said |= {outcome for name, outcome in ((first, 1.0), (second, 0.0)) if cell == name}
        if len(said) != 1:
            raise DatasetError(_complaint(place, columns, cell, (first, second), said))
        outcome = said.pop()
        choices.append(Choice(first=first, second=second, outcome=outcome, rater=rater, place=f"line {line}"))
    return choices


def _said(cell: str, words: Mapping[str, float]) -> list[float]:
    return [words[cell]] if cell in words else []


def _complaint(place: str, columns: tuple[str, str, str], cell: str, images: tuple[str, str], said: set[float]) -> str:
    if said:
        return (
            f"{place}: {cell!r} in the column {columns[2]!r} can be a side and an image of that name. Write the names "
            f"of the columns, {columns[0]!r} or {columns[1]!r}."
        )
    if not cell:
        return f"{place}: the column {columns[2]!r} is empty here. Write tie, or remove the row."
    return (
        f"{place}: expected a, b, tie, {columns[0]}, {columns[1]}, {images[0]!r} or {images[1]!r} in the column "
        f"{columns[2]!r}, got {cell!r}. If this is how the table says it, name the words: --option a_wins=WORD "
        "--option b_wins=WORD --option tie=WORD."
    )
