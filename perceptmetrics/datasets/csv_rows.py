"""What a row of a table is: an image, what one person says of an image, or an image with a column for each person."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from perceptmetrics.datasets.raters import Answers
from perceptmetrics.datasets.table import Table
from perceptmetrics.errors import DatasetError, InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RATER_COLUMNS", "Rows", "rows_of"]

RATER_COLUMNS = ("rater", "annotator", "observer", "participant", "subject", "user", "worker")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a table, and what each of them is.

    Attributes:
        table: The table.
        name_column: Column of the image names.
        answers: For each row, or for each cell of `rater_columns`, the image and who rated it.
        rater_columns: Columns of one person each; empty if there are none.
        pools: Whether an image may have several answers.
    """

    table: Table
    name_column: str
    answers: Answers
    rater_columns: tuple[str, ...] = ()
    pools: bool = False

    def of_images(self, column: str) -> tuple[str, ...]:
        """What a column says of each image."""
        cells = self.table.column(column)
        each = max(1, len(self.rater_columns))
        return self.answers.common(column, [cell for cell in cells for _ in range(each)])

    def ratings_of_raters(self, label: str) -> dict[str, list[float]]:
        """What stands in `rater_columns`, in the order of `answers`; empty if there are none."""
        cells = [self.table.numbers(column) for column in self.rater_columns]
        return {label: [number for row in zip(*cells, strict=True) for number in row]} if cells else {}


def rows_of(
    table: Table,
    image_column: str | None,
    rater_column: str | None,
    rater_columns: Sequence[str] | None,
    *,
    anonymous: bool,
) -> Rows:
    """Find out what a row is; see `csv_file.read` for the options.

    Raises:
        DatasetError: A column does not exist, a cell is empty, or an image has several rows and nothing says why.
        InvalidOptionError: More than one form is stated.
    """
    stated = {"rater_column": rater_column is not None, "anonymous_raters": anonymous}
    given = [*(name for name, is_given in stated.items() if is_given), *["rater_columns"] * (rater_columns is not None)]
    if len(given) > 1:
        raise InvalidOptionError(f"Ratings have one form; state only one of {' and '.join(given)}.")
    name_column = table.image_column(image_column)
    places = tuple(f"line {line}" for line in table.lines)
    source = str(table.path)
    if any(stated.values()):
        raters = None if rater_column is None else tuple(table.column(rater_column))
        _check_filled(table, name_column, table.column(name_column))
        if rater_column is not None:
            _check_filled(table, rater_column, table.column(rater_column))
        answers = Answers(source=source, images=tuple(table.column(name_column)), raters=raters, places=places)
        return Rows(table=table, name_column=name_column, answers=answers, pools=True)
    names = table.image_names(name_column, advice=_advice(table, name_column))
    if rater_columns is None:
        answers = Answers(source=source, images=tuple(names), raters=None, places=places)
        return Rows(table=table, name_column=name_column, answers=answers)
    people = _matching(table, [rater_columns] if isinstance(rater_columns, str) else rater_columns, name_column)
    answers = Answers(
        source=source,
        images=tuple(name for name in names for _ in people),
        raters=people * len(names),
        places=tuple(place for place in places for _ in people),
    )
    return Rows(table=table, name_column=name_column, answers=answers, rater_columns=people, pools=True)


def _check_filled(table: Table, column: str, cells: Sequence[str]) -> None:
    empty = next((line for line, cell in zip(table.lines, cells, strict=True) if not cell), None)
    if empty is not None:
        raise DatasetError(f"{table.path}, line {empty}: the column {column!r} is empty here.")


def _advice(table: Table, name_column: str) -> str:
    """What to type where a table has several rows for an image."""
    others = [column for column in table.header if column != name_column]
    named = next((column for column in others if column.lower().split("_")[0] in RATER_COLUMNS), None)
    return (
        "If each row is the rating of one person, name the column that says whose: --option rater_column="
        f"{named or 'NAME'} (columns: {', '.join(others)}); if none says it: --option anonymous_raters=true. "
        "Otherwise remove a row."
    )


def _matching(table: Table, patterns: Sequence[str], name_column: str) -> tuple[str, ...]:
    """The columns that names, or patterns such as `rater_*`, stand for."""
    found: dict[str, None] = {}
    for pattern in patterns:
        matches = [
            column
            for column in table.header
            if column == pattern or (column != name_column and fnmatchcase(column, pattern))
        ]
        if not matches:
            table.column(pattern)
        found |= dict.fromkeys(matches)
    return tuple(found)
