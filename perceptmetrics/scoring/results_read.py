"""Read a finished file of scores again, for a run that adds to it.

A file that was cut, by a full disk or a stopped transfer, ends within a row. What is left of that row is never taken
for a score: its image counts as not scored.
"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TextIO

from perceptmetrics._util.csv_cells import unmarked
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.scoring.results import Format, NotScoresError, ScoredImage
from perceptmetrics.scoring.results_parquet import read_parquet_rows

if TYPE_CHECKING:
    from pathlib import Path

    from perceptmetrics.scoring.origin import Origin

__all__ = ["FinishedFile", "read_finished", "require_same_columns"]

_log = logging.getLogger(__name__)


class FinishedFile(NamedTuple):
    """What a finished file holds.

    Attributes:
        rows: Its complete rows.
        origin: What its scores were computed with; empty where it does not say.
    """

    rows: list[ScoredImage]
    origin: Origin


def read_finished(path: Path, file_format: Format, columns: Sequence[str]) -> FinishedFile:
    """Read a finished file.

    Args:
        path: The file.
        file_format: Its format.
        columns: The score columns that it should have.

    Returns:
        Its rows that have all scores or an error, and what they were computed with.

    Raises:
        InvalidOptionError: It is not a file of these scores.
    """
    origin: Origin = {}
    try:
        if file_format == "parquet":
            found, origin, stored = read_parquet_rows(path)
            require_same_columns(path, found, columns)
            return FinishedFile(_complete(path, stored, columns), origin)
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            rows = (_csv_rows if file_format == "csv" else _json_rows)(path, stream, columns)
            return FinishedFile(_complete(path, rows, columns), origin)
    except (NotScoresError, csv.Error) as error:
        raise InvalidOptionError(
            f"{path} is not a file of scores written by this program, or was damaged since: {error}. Move it away, or "
            "choose another name."
        ) from error


def require_same_columns(path: Path, found: Sequence[str], expected: Sequence[str]) -> None:
    """Refuse a file with other score columns.

    Raises:
        InvalidOptionError: The columns differ.
    """
    if list(found) != list(expected):
        raise InvalidOptionError(
            f"{path} has the columns {list(found)}, but this run scores {list(expected)}. "
            "Resume with the same metrics in the same order, or write to another file."
        )


def _complete(path: Path, rows: Iterator[ScoredImage | None], columns: Sequence[str]) -> list[ScoredImage]:
    """The rows with all scores or an error; None stands for a row of which a part is missing."""
    complete, partial = [], 0
    for row in rows:
        if row is not None and (row.error is not None or all(_is_score(row.scores.get(name)) for name in columns)):
            complete.append(row)
        else:
            partial += 1
    if partial:
        _log.warning("%s: %d rows are incomplete; their images count as not scored.", path, partial)
    return complete


def _is_score(value: object) -> bool:
    return isinstance(value, float) and value == value


def _csv_rows(path: Path, stream: TextIO, columns: Sequence[str]) -> Iterator[ScoredImage | None]:
    reader = csv.reader(stream)
    header = next(reader, [])
    require_same_columns(path, [unmarked(name) for name in header[1:-1]], columns)
    if [header[0].removeprefix("\ufeff"), header[-1]] != ["image", "error"]:
        raise NotScoresError(f"its columns are {', '.join(header)}")
    for cells in filter(None, reader):
        # All scores of a whole row end with a comma, even in a row that is not followed by a line break.
        if len(cells) != len(header):
            yield None
            continue
        name, *scores, error = cells
        numbers = {column: _number(cell) for column, cell in zip(columns, scores, strict=True) if cell}
        yield ScoredImage(unmarked(name), numbers, unmarked(error) or None)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError as error:
        raise NotScoresError(f"{cell!r} is no score") from error


def _json_rows(path: Path, stream: TextIO, columns: Sequence[str]) -> Iterator[ScoredImage | None]:
    for line in filter(str.strip, stream):
        try:
            record = json.loads(line)
        except ValueError as error:
            if line.endswith("\n"):
                raise NotScoresError(f"{line[:80]!r} is not JSON") from error
            yield None  # the file was cut here
            continue
        yield _json_row(path, record, columns)


def _json_row(path: Path, record: object, columns: Sequence[str]) -> ScoredImage:
    if not isinstance(record, Mapping) or not isinstance(record.get("image"), str):
        raise NotScoresError(f"{str(record)[:80]!r} is no scored image")
    if record.get("error") is not None:
        return ScoredImage(record["image"], error=str(record["error"]))
    scores = {key: value for key, value in record.items() if key not in ("image", "error")}
    require_same_columns(path, list(scores), columns)
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in scores.values()):
        raise NotScoresError(f"{str(record)[:80]!r} has a score that is no number")
    return ScoredImage(record["image"], {key: float(value) for key, value in scores.items()})
