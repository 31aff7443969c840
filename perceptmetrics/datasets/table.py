"""Read tables of labels: a CSV or workbook with a column of image names and columns of labels."""

from __future__ import annotations

import csv
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from perceptmetrics.errors import DatasetError, MissingExtraError, first_line, nearest_names

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["IMAGE_COLUMNS", "Table", "read_table", "read_workbook"]

IMAGE_COLUMNS = ("image", "image_name", "images", "name", "file", "filename", "file_name", "path", "image_path")


@dataclass(frozen=True, kw_only=True)
class Table:
    """The cells of a table as text.

    Attributes:
        path: The file.
        header: Names of the columns.
        rows: Cells by column, for each row.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]

    def column(self, name: str) -> list[str]:
        """Cells of a column.

        Raises:
            DatasetError: There is no such column; the message suggests the nearest name.
        """
        if name not in self.header:
            raise DatasetError(f"{self.path} has no column {name!r}. {nearest_names(name, self.header)}")
        return [row[name] for row in self.rows]

    def numbers(self, name: str) -> list[float]:
        """Numbers of a column; NaN for empty cells.

        Raises:
            DatasetError: There is no such column, or it is empty or contains something other than numbers.
        """
        cells = self.column(name)
        if not _is_numeric(cells):
            cell = next((cell for cell in cells if not _is_number(cell)), "nothing but empty cells")
            raise DatasetError(f"{self.path}: expected numbers in the column {name!r}, got {cell!r}.")
        return [float(cell) if cell else math.nan for cell in cells]

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

    def image_names(self, column: str) -> list[str]:
        """Cells of the column of image names.

        Raises:
            DatasetError: A name occurs twice.
        """
        names = self.column(column)
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise DatasetError(
                    f"{self.path} rates {name!r} in more than one row. Average its ratings, or remove a row."
                )
            seen.add(name)
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
        chosen = [name for name in self.header if name not in besides and _is_numeric(self.column(name))]
        if not chosen:
            known = " and ".join(repr(name) for name in besides)
            raise DatasetError(f"{self.path} has no column of numbers besides {known}: {', '.join(self.header)}.")
        return chosen


def read_table(path: Path) -> Table:
    """Read a CSV, separated by commas, semicolons or tabs, with a header.

    Args:
        path: The file.

    Returns:
        Its cells, without surrounding blanks.

    Raises:
        DatasetError: The file does not exist, cannot be read, or has no rows.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            first = stream.readline()
            stream.seek(0)
            reader = csv.DictReader(stream, delimiter=max(",;\t", key=first.count), restval="")
            rows = [{key: (value or "").strip() for key, value in row.items() if key is not None} for row in reader]
            header = tuple(name for name in reader.fieldnames or () if name)
    except FileNotFoundError as error:
        raise DatasetError(f"{path} does not exist; expected a CSV of ratings.") from error
    except (OSError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read as a CSV: {error}.") from error
    if not rows:
        raise DatasetError(f"{path} contains no ratings; expected a header and one row per image.")
    return Table(path=path, header=header, rows=tuple(rows))


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
    cells = ({name: cell for name, cell in zip_longest(header, line, fillvalue="") if name} for line in lines[1:])
    rows = [row for row in cells if any(row.values())]
    if not rows:
        raise DatasetError(f"{path} contains no ratings; expected a header and one row per image.")
    return Table(path=path, header=tuple(filter(None, header)), rows=tuple(rows))


def _is_numeric(cells: list[str]) -> bool:
    return any(cells) and all(map(_is_number, cells))


def _is_number(cell: str) -> bool:
    try:
        return not cell or math.isfinite(float(cell)) or cell.lower() == "nan"
    except ValueError:
        return False
