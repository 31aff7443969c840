"""Lines of the journal of a run of scoring: a row, or the rows that came together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, TextIO

from perceptmetrics.scoring.results import ScoredImage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["block_line", "journal_line", "open_text", "parse_line", "read_journal"]

_BLOCK = "rows"  # of a line that holds several
_encode = json.JSONEncoder(check_circular=False).encode


def open_text(path: Path, mode: Literal["r", "w", "a"] = "r") -> TextIO:
    """Open a text file; names of files with invalid UTF-8 are kept."""
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")


def journal_line(row: ScoredImage) -> str:
    """A line with one row."""
    record = {"name": row.name, "scores": dict(row.scores), "error": row.error, "window": row.window}
    return _encode(record) + "\n"


def block_line(rows: Sequence[ScoredImage], columns: Sequence[str]) -> str:
    """A line with several rows, which counts whole or not at all."""
    cells = [
        [row.name, None if row.error is not None else [row.scores[column] for column in columns], row.error, row.window]
        for row in rows
    ]
    return _encode({_BLOCK: cells}) + "\n"


def read_journal(path: Path, columns: Sequence[str]) -> Iterator[ScoredImage]:
    """The whole rows of a journal. The images of corrupt ones are scored again."""
    with open_text(path) as stream:
        stream.readline()
        for record in map(parse_line, stream):
            if _is_row(record, columns):
                yield ScoredImage(**record)
            elif isinstance(record.get(_BLOCK), list):
                yield from _rows_of_block(record[_BLOCK], columns)


def _rows_of_block(cells: list[Any], columns: Sequence[str]) -> Iterator[ScoredImage]:
    for cell in cells:
        if not isinstance(cell, list) or len(cell) != 4:
            continue
        name, values, error, window = cell
        if not isinstance(values, list) or len(values) != len(columns):
            values = None
        scores: dict[str, Any] = {} if values is None else dict(zip(columns, values, strict=True))
        if _is_row({"name": name, "scores": scores, "error": error, "window": window}, columns):
            yield ScoredImage(name, scores, error, window)


def _is_row(record: dict[str, Any], columns: Sequence[str]) -> bool:
    if record.keys() != {"name", "scores", "error", "window"}:
        return False
    scores, error = record["scores"], record["error"]
    return (
        isinstance(record["name"], str)
        and isinstance(scores, dict)
        and (error is None or isinstance(error, str))
        and (record["window"] is None or type(record["window"]) is int)
        and (error is not None or scores.keys() == set(columns))
        and all(type(score) in (int, float) for score in scores.values())
    )


def parse_line(line: str) -> dict[str, Any]:
    """Parse a line of the journal; empty if it is corrupt, as a killed run may leave it. Its image is scored again."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
