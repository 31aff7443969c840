"""Rows of scores, and how they are written as text."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["FORMATS", "Format", "ScoredImage", "TextFormat", "csv_bytes", "csv_line", "format_row", "format_start"]

TextFormat = Literal["csv", "jsonl"]
Format = Literal["csv", "jsonl", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "jsonl", "parquet")
DECIMALS = 6


@dataclass(frozen=True)
class ScoredImage:
    """One row: an image with its scores, or with the reason why it has none.

    Attributes:
        name: Path of the image as given.
        scores: Scores by column; empty if the image failed.
        error: Why it could not be scored; None if it was.
        window: Index of the window of the stream in which it was scored (see `images.batch`); None if irrelevant.
    """

    name: str
    scores: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    window: int | None = field(default=None, compare=False)


def format_start(columns: Sequence[str], file_format: TextFormat) -> str:
    """The start of a file before its first row: the header of a CSV, nothing in JSON Lines."""
    return csv_line(["image", *columns, "error"]) if file_format == "csv" else ""


def format_row(row: ScoredImage, columns: Sequence[str], file_format: TextFormat) -> str:
    """Write one row.

    Args:
        row: The scored image.
        columns: Score columns in order.
        file_format: `"csv"` (image, columns, error) or `"jsonl"` (an object with the scores or the error).

    Returns:
        One line with its line break. Scores have six decimals.
    """
    if file_format == "csv":
        scores = [f"{row.scores[column]:.{DECIMALS}f}" if column in row.scores else "" for column in columns]
        return csv_line([row.name, *scores, row.error or ""])
    rounded = {column: round(row.scores[column], DECIMALS) for column in columns if column in row.scores}
    return json.dumps({"image": row.name, **(rounded if row.error is None else {"error": row.error})}) + "\n"


def csv_line(cells: Sequence[str]) -> str:
    """One line of a CSV with its line break; cells that would break the line are quoted."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)  # so that carriage returns in names are quoted too
    return buffer.getvalue().removesuffix("\r\n") + "\n"


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV in UTF-8. Numbers have six decimals, NaN is an empty cell, names with invalid UTF-8 are kept."""
    lines = [csv_line(list(header)), *(csv_line([_cell(value) for value in row]) for row in rows)]
    return "".join(lines).encode("utf-8", "surrogateescape")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.{DECIMALS}f}"
    return str(value)
