"""Read tables of labels: a CSV or workbook with a column of image names and columns of labels."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

import numpy as np

from perceptmetrics._util.delimited import TextTableError, read_delimited
from perceptmetrics.datasets.decimals import DecimalMark, is_percentage, looks_like, read_number, read_numbers
from perceptmetrics.errors import DatasetError, MissingExtraError, first_line, nearest_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

__all__ = ["IMAGE_COLUMNS", "Table", "read_table", "read_workbook"]

IMAGE_COLUMNS = ("image", "image_name", "images", "name", "file", "filename", "file_name", "path", "image_path")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Table:
    """The cells of a table as text.

    Attributes:
        path: The file.
        header: Names of the columns that have one.
        rows: Cells by column, for each row.
        lines: Number of the line of each row in the file, from 1.
        separator: What separates the cells; empty for a workbook.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]
    lines: tuple[int, ...]
    separator: str = ""

    def column(self, name: str) -> list[str]:
        """Cells of a column.

        Raises:
            DatasetError: There is no such column, or more than one; the message suggests the nearest name.
        """
        if name not in self.header:
            raise DatasetError(f"{self.path} has no column {name!r}. {nearest_names(name, self.header)}")
        if self.header.count(name) > 1:
            raise DatasetError(f"{self.path} has more than one column {name!r}. Rename all but one of them.")
        return [row[name] for row in self.rows]

    def numbers(self, name: str) -> list[float]:
        """Numbers of a column; NaN for empty cells.

        Decimals may follow a point or, if all numbers of the column can be read so, a comma.

        Raises:
            DatasetError: There is no such column, or it is empty or contains something other than numbers, or numbers
                that can be read in two ways.
        """
        cells = self.column(name)
        readings = _readings(cells)
        if not any(cells) or not readings:
            advice = " Write percentages as plain numbers." if any(map(is_percentage, cells)) else ""
            raise DatasetError(
                f"{self.path}: expected numbers in the column {name!r}, got {self._oddity(cells)}.{advice}"
            )
        if len(readings) == 1 or np.array_equal(readings["."], readings[","], equal_nan=True):
            return next(iter(readings.values()))
        mark = self._decimal_mark(cells)
        if mark is None:
            pairs = enumerate(zip(readings["."], readings[","], strict=True))
            index, (point, comma) = next((index, pair) for index, pair in pairs if cells[index] and pair[0] != pair[1])
            raise DatasetError(
                f"{self.path}, line {self.lines[index]}: {cells[index]!r} in the column {name!r} can be {point:g} or "
                f"{comma:g}. Write the numbers without thousands separators, or choose other columns."
            )
        return readings[mark]

    def _decimal_mark(self, cells: Sequence[str]) -> DecimalMark | None:
        """What stands before the decimals of a column whose numbers look like thousands too; None if that is open."""
        has_point, has_comma = (any(mark in cell for cell in cells) for mark in ".,")
        if has_point and has_comma:
            return None
        if has_point:
            return None if "," in self._proven_marks else "."
        if self._proven_marks:
            return None if len(self._proven_marks) > 1 else next(iter(self._proven_marks))
        return "," if self.separator == ";" else None

    @cached_property
    def _proven_marks(self) -> frozenset[DecimalMark]:
        """Decimal marks of the columns that can be read with one of them only."""
        columns = [[row[name] for row in self.rows] for name in dict.fromkeys(self.header)]
        readings = [_readings(cells) for cells in columns if any(cells)]
        return frozenset(mark for one in readings if len(one) == 1 for mark in one)

    def _oddity(self, cells: Sequence[str]) -> str:
        """The first cell that is not a number like most of the others, and its line."""
        marks: tuple[DecimalMark, ...] = (".", ",")
        failing = [[index for index, cell in enumerate(cells) if read_number(cell, mark) is None] for mark in marks]
        if not any(cells) or not min(failing, key=len):
            return "nothing but empty cells"
        index = min(failing, key=len)[0]
        return f"{cells[index]!r} in line {self.lines[index]}"

    def image_column(self, stated: str | None = None) -> str:
        """Name of the column of image names.

        Args:
            stated: The user's choice; None for the first column whose name is one of `IMAGE_COLUMNS`.

        Raises:
            DatasetError: There is no such column.
        """
        if stated is not None:
            self.column(stated)
            return stated
        for name in self.header:
            if name.strip().lower().replace(" ", "_") in IMAGE_COLUMNS:
                return name
        raise DatasetError(
            f"{self.path} has no column of image names: expected one called {', '.join(IMAGE_COLUMNS)}, got "
            f"{', '.join(self.header)}. Pass the name of the column."
        )

    def image_names(self, column: str, *, advice: str = "Average its ratings, or remove a row.") -> list[str]:
        """Cells of the column of image names.

        Args:
            column: The column.
            advice: What to do about a name that occurs twice.

        Raises:
            DatasetError: A name is missing or occurs twice.
        """
        names = self.column(column)
        line_of: dict[str, int] = {}
        for name, line in zip(names, self.lines, strict=True):
            if not name:
                raise DatasetError(f"{self.path}, line {line}: the column {column!r} of image names is empty here.")
            if name in line_of:
                raise DatasetError(
                    f"{self.path} rates {name!r} in more than one row (lines {line_of[name]} and {line}). {advice}"
                )
            line_of[name] = line
        return names

    def rating_columns(self, stated: Sequence[str] | None, *, besides: Collection[str]) -> list[str]:
        """Names of the columns of ratings.

        Args:
            stated: The user's choice; None for all columns that contain only numbers and empty cells.
            besides: Columns that are not ratings.

        Raises:
            DatasetError: There is no such column, or a chosen one is missing or contains something other than numbers.
        """
        if stated is not None:
            for name in stated:
                self.numbers(name)
            return list(stated)
        others = [name for name in dict.fromkeys(self.header) if name not in besides]
        chosen = [name for name in others if self._holds_ratings(name)]
        if not chosen:
            known = " and ".join(repr(name) for name in besides)
            oddities = "".join(f" {name!r} contains {self._oddity(self.column(name))}." for name in others)
            raise DatasetError(
                f"{self.path} has no column of numbers besides {known}: {', '.join(self.header)}.{oddities}"
            )
        return chosen

    def _holds_ratings(self, name: str) -> bool:
        """Whether a column holds only numbers and empty cells; one that nearly does is reported."""
        cells = self.column(name)
        filled = [cell for cell in cells if cell]
        if filled and all(map(is_percentage, filled)):
            self.numbers(name)
        if filled and _readings(filled):
            return True
        if 2 * sum(map(looks_like, filled)) > len(filled):
            _log.warning("%s: the column %r holds no ratings: %s.", self.path, name, self._oddity(cells))
        return False


def read_table(path: Path) -> Table:
    """Read a table of text with a header, in the encodings and with the separators of `read_delimited`.

    Args:
        path: The file.

    Returns:
        Its cells, without surrounding blanks.

    Raises:
        DatasetError: The file does not exist, cannot be read, or has no rows.
    """
    try:
        text = read_delimited(path.read_bytes(), str(path))
        return _table(path, text.header, text.rows, text.separator)
    except FileNotFoundError as error:
        raise DatasetError(f"{path} does not exist; expected a CSV of ratings.") from error
    except (OSError, TextTableError) as error:
        raise DatasetError(f"{path} cannot be read as a CSV: {error}.") from error


def _table(path: Path, header: Sequence[str], rows: Iterable[tuple[int, Sequence[str]]], separator: str = "") -> Table:
    """A table of rows that are as wide as the header; columns without a name are left out."""
    padded = ((line, [*row, *[""] * len(header)]) for line, row in rows)
    named = [(line, {name: cell for name, cell in zip(header, row, strict=False) if name}) for line, row in padded]
    filled = [(line, cells) for line, cells in named if any(cells.values())]
    if not filled:
        raise DatasetError(f"{path} contains no ratings; expected a header and one row per image.")
    lines, cells = zip(*filled, strict=True)
    return Table(path=path, header=tuple(filter(None, header)), rows=cells, lines=lines, separator=separator)


def read_workbook(path: Path) -> Table:
    """Read the first sheet of an .xlsx workbook, whose first row is the header.

    Args:
        path: The file.

    Returns:
        Its cells as text, without surrounding blanks; formulas as the values that the workbook stores.

    Raises:
        DatasetError: The file cannot be read, or has no rows.
        MissingExtraError: openpyxl is not installed.
    """
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError as error:
        raise MissingExtraError(f"Reading {path}", "spaq") from error
    try:
        with path.open("rb") as stream:
            sheet = load_workbook(stream, read_only=True, data_only=True).worksheets[0]
            sheet.reset_dimensions()  # some programs store wrong ones
            lines = [["" if cell is None else str(cell).strip() for cell in row] for row in sheet.values]
    except (OSError, LookupError, ValueError, TypeError, zipfile.BadZipFile, ParseError, InvalidFileException) as error:
        raise DatasetError(f"{path} cannot be read as an .xlsx workbook: {first_line(error)}.") from error
    header = lines[0] if lines else []
    return _table(path, header, enumerate(lines[1:], start=2))


def _readings(cells: Sequence[str]) -> dict[DecimalMark, list[float]]:
    """The numbers of a column under each decimal mark with which all of them can be read."""
    marks: tuple[DecimalMark, ...] = (".", ",")
    readings = ((mark, read_numbers(cells, mark)) for mark in marks)
    return {mark: numbers for mark, numbers in readings if numbers is not None}
