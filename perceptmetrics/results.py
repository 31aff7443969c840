"""Scores on disk: an append-only journal while a run goes on, one finished file at its end.

Every scored image is appended to the journal `OUTPUT.partial` and flushed, so a killed run loses nothing that
was scored. At the end the journal is rendered, in input order, to a temporary file that then takes the place of
`OUTPUT`: the finished file is either the old or the new one, never half of it.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TextIO

from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["FORMATS", "Format", "ResultsFile", "ScoredImage", "format_row", "format_start"]

Format = Literal["csv", "jsonl"]
FORMATS: tuple[Format, ...] = ("csv", "jsonl")
DECIMALS = 6


@dataclass(frozen=True)
class ScoredImage:
    """One row: an image with its scores, or with the reason why it has none.

    Attributes:
        name: Path of the image as it was given.
        scores: Score by column; empty when the image failed.
        error: Why it could not be scored; None when it was.
    """

    name: str
    scores: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None


def format_start(columns: Sequence[str], form: Format) -> str:
    """What stands before the first row of a file: the header of a CSV, nothing in JSON Lines."""
    return _csv_line(["image", *columns, "error"]) if form == "csv" else ""


def format_row(row: ScoredImage, columns: Sequence[str], form: Format) -> str:
    """Write one row.

    Args:
        row: The scored image.
        columns: Score columns in order.
        form: `"csv"` (image, columns, error) or `"jsonl"` (an object with the scores or the error).

    Returns:
        One line with its end. Scores have six decimals.
    """
    if form == "csv":
        scores = [f"{row.scores[column]:.{DECIMALS}f}" if column in row.scores else "" for column in columns]
        return _csv_line([row.name, *scores, row.error or ""])
    rounded = {column: round(row.scores[column], DECIMALS) for column in columns if column in row.scores}
    return json.dumps({"image": row.name, **(rounded if row.error is None else {"error": row.error})}) + "\n"


class ResultsFile:
    """The file that a run of scoring writes.

    Args:
        output: The finished file.
        form: Its format.
        columns: Score columns.
        resume: Continue an interrupted run, or add to a finished file: images with a score are not scored again,
            images that failed are tried again. Rows of images that this run is not given are kept, first.

    Attributes:
        done: Rows of earlier runs by image, without the failed ones.

    Raises:
        InvalidOptionError: An interrupted run lies there and `resume` is False, or its columns differ.
    """

    def __init__(self, output: Path, form: Format, columns: Sequence[str], *, resume: bool) -> None:
        self.output = output
        self.journal = output.with_name(output.name + ".partial")
        self._form = form
        self._columns = list(columns)
        if self.journal.exists() and not resume:
            raise InvalidOptionError(
                f"{self.journal} holds the scores of an interrupted run. Continue it with --resume, or delete it."
            )
        self.done = {row.name: row for row in self._earlier_rows() if row.error is None} if resume else {}
        self._order: list[str] | None = [] if resume else None
        output.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._start_journal()

    def add(self, row: ScoredImage) -> None:
        """Append one row; earlier rows are given again, in their place, when a run is resumed."""
        if self._order is not None:
            self._order.append(row.name)
        if row.name not in self.done:
            self._stream.write(_journal_line(row))
            self._stream.flush()

    def close(self) -> None:
        """Stop without finishing: the journal stays for `resume`."""
        self._stream.close()

    def finish(self) -> None:
        """Render the journal to the finished file and remove it."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        rows: Iterable[ScoredImage] = _read_journal(self.journal)
        if self._order is not None:
            by_name = {**self.done, **{row.name: row for row in rows}}
            given = set(self._order)
            kept = [name for name in self.done if name not in given]
            rows = (by_name[name] for name in [*kept, *self._order])
        with _replacing(self.output) as stream:
            stream.write(format_start(self._columns, self._form))
            stream.writelines(format_row(row, self._columns, self._form) for row in rows)
        self.journal.unlink()

    def _start_journal(self) -> TextIO:
        """Rewrite the journal with the earlier rows, through a temporary file, and leave it open for more."""
        with _replacing(self.journal) as stream:
            stream.write(json.dumps({"columns": self._columns}) + "\n")
            stream.writelines(_journal_line(row) for row in self.done.values())
        return _open(self.journal, "a")

    def _earlier_rows(self) -> Iterator[ScoredImage]:
        if self.output.exists():
            yield from _read_finished(self.output, self._form, self._columns)
        if self.journal.exists():
            with _open(self.journal) as stream:
                first = stream.readline()
            columns = json.loads(first)["columns"] if first.endswith("\n") else self._columns
            _require_same_columns(self.journal, columns, self._columns)
            yield from _read_journal(self.journal)


def _open(path: Path, mode: Literal["r", "w", "a"] = "r") -> TextIO:
    """Open a text file; names of files that are no UTF-8 survive."""
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """Write a file beside `path`, which takes its place when everything is written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _open(temporary, "w") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _journal_line(row: ScoredImage) -> str:
    return json.dumps({"name": row.name, "scores": dict(row.scores), "error": row.error}) + "\n"


def _read_journal(path: Path) -> Iterator[ScoredImage]:
    with _open(path) as stream:
        stream.readline()
        for line in stream:
            if line.endswith("\n"):  # a killed run may leave half a line at the end
                yield ScoredImage(**json.loads(line))


def _read_finished(path: Path, form: Format, columns: Sequence[str]) -> Iterator[ScoredImage]:
    with _open(path) as stream:
        if form == "csv":
            reader = csv.DictReader(stream)
            _require_same_columns(path, list(reader.fieldnames or [])[1:-1], columns)
            for record in reader:
                scores = {column: float(record[column]) for column in columns if record[column]}
                yield ScoredImage(record["image"], scores, record["error"] or None)
        else:
            for line in stream:
                record = json.loads(line)
                scores = {key: value for key, value in record.items() if key not in ("image", "error")}
                if "error" not in record:
                    _require_same_columns(path, list(scores), columns)
                yield ScoredImage(record["image"], scores, record.get("error"))


def _require_same_columns(path: Path, found: Sequence[str], expected: Sequence[str]) -> None:
    if list(found) != list(expected):
        raise InvalidOptionError(
            f"{path} holds the columns {list(found)}, but this run scores {list(expected)}. "
            "Resume with the same metrics in the same order, or write to another file."
        )


def _csv_line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
