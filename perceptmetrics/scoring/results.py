"""Rows of scores, and how they are written as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from perceptmetrics._util.csv_cells import DECIMALS, csv_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "FORMATS",
    "Format",
    "NotScoresError",
    "ScoredImage",
    "TextFormat",
    "csv_bytes",
    "format_row",
    "format_start",
]

TextFormat = Literal["csv", "jsonl"]
Format = Literal["csv", "jsonl", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "jsonl", "parquet")


class NotScoresError(ValueError):
    """A file is not one of scores that this package wrote, or was damaged since; the message is the reason."""


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
        return csv_line([row.name, *(row.scores.get(column) for column in columns), row.error])
    rounded = {column: round(row.scores[column], DECIMALS) for column in columns if column in row.scores}
    return json.dumps({"image": row.name, **(rounded if row.error is None else {"error": row.error})}) + "\n"


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV of `csv_line`s in UTF-8; names with invalid UTF-8 are kept."""
    return "".join(csv_line(row) for row in (header, *rows)).encode("utf-8", "surrogateescape")
