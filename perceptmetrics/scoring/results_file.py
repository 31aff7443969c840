"""Scores on disk: an append-only journal during a run, one finished file at its end.

Rows are appended to the journal `OUTPUT.partial` in input order and flushed. So a killed run loses only the few images
that were being scored or waited for a batch. At the end the journal is rendered to a temporary file that replaces
`OUTPUT`: there is always either the old or the new finished file, never half of it.

Images are batched within windows of the stream, and the last bits of a score depend on its batch. A resumed run scores
the last window of the journal again from its beginning, so that its batches are those of an uninterrupted run.
"""

from __future__ import annotations

import csv
import json
import os
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from filelock import FileLock, Timeout

from perceptmetrics._util.atomic import replacing
from perceptmetrics._util.csv_cells import unmarked
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.scoring.results import Format, ScoredImage, format_row, format_start
from perceptmetrics.scoring.results_parquet import (
    read_parquet_columns,
    read_parquet_rows,
    require_pyarrow,
    write_parquet_rows,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["ResultsFile"]


class ResultsFile:
    """The file that a run of scoring writes.

    Args:
        output: The finished file.
        file_format: Its format.
        columns: Score columns.
        resume: Continue an interrupted run, or add to a finished file. Images with a score are not scored again,
            images that failed are. Rows of images that are not among the images of this run are kept and come first.
            Names and scores of earlier rows are held in memory.

    Attributes:
        done: Rows of earlier runs by image, without those that failed.

    Raises:
        InvalidOptionError: There is an interrupted run and `resume` is False, its columns differ, another run is
            writing the same file, or the path is not a regular file of scores.
    """

    def __init__(self, output: Path, file_format: Format, columns: Sequence[str], *, resume: bool) -> None:
        self.output = output = output.resolve()
        if output.exists() and not output.is_file():
            raise InvalidOptionError(f"{output} is not a regular file. To print the scores, leave out --output.")
        self.journal = output.with_name(output.name + ".partial")
        if file_format == "parquet":
            require_pyarrow()
        self._format = file_format
        self._columns = list(columns)
        output.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(output)
        try:
            self.done = self._take_over(resume=resume)
            self._order: list[str] | None = [] if resume else None
            self._stream = self._start_journal()
        except BaseException:
            self._unlock()
            raise

    def add(self, row: ScoredImage) -> None:
        """Append one row. A resumed run passes earlier rows again, in order; they are not written twice."""
        if self._order is not None:
            self._order.append(row.name)
        if row.name not in self.done:
            self._stream.write(_journal_line(row))
            self._stream.flush()

    def close(self) -> None:
        """Stop without finishing; the journal remains for `resume`."""
        self._stream.close()
        self._unlock()

    def finish(self) -> None:
        """Render the journal to the finished file and remove it."""
        try:
            self._render()
        finally:
            self._unlock()

    def _render(self) -> None:
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        rows: Iterable[ScoredImage] = _read_journal(self.journal)
        if self._order is not None:
            by_name = {**self.done, **{row.name: row for row in rows}}
            given = set(self._order)
            kept = [name for name in self.done if name not in given]
            rows = (by_name[name] for name in [*kept, *self._order])
        _write_finished(self.output, self._format, rows, self._columns)
        self.journal.unlink()

    def _take_over(self, *, resume: bool) -> dict[str, ScoredImage]:
        if not resume and self.journal.exists():
            raise InvalidOptionError(
                f"{self.journal} holds the scores of an interrupted run. Continue it with --resume, or delete it."
            )
        return {row.name: row for row in self._earlier_rows() if row.error is None} if resume else {}

    def _unlock(self) -> None:
        with suppress(PermissionError):  # Windows keeps open files; there the release removes it
            Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def _start_journal(self) -> TextIO:
        """Rewrite the journal with the earlier rows, through a temporary file, and leave it open for more."""
        with _replacing(self.journal) as stream:
            stream.write(json.dumps({"columns": self._columns}) + "\n")
            stream.writelines(_journal_line(replace(row, window=None)) for row in self.done.values())
        return _open(self.journal, "a")

    def _earlier_rows(self) -> Iterator[ScoredImage]:
        if self.output.exists():
            yield from _read_finished(self.output, self._format, self._columns)
        if self.journal.exists():
            with _open(self.journal) as stream:
                first = _parse_line(stream.readline())
            if "columns" not in first:
                raise InvalidOptionError(
                    f"{self.journal} is corrupt: its first line does not name the columns. Delete it."
                )
            _require_same_columns(self.journal, first["columns"], self._columns)
            windows = deque((row.window for row in _read_journal(self.journal)), maxlen=1)
            yield from (row for row in _read_journal(self.journal) if row.window is None or row.window not in windows)


def _lock(output: Path) -> FileLock:
    """Take a lock beside the output. The operating system releases it when the process ends, however it ends."""
    path = output.with_name(f".{output.name}.lock")
    path.touch()  # or else a folder where no file can be created looks like one where another run holds the lock
    lock = FileLock(path, thread_local=False)  # any thread may close the file
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise InvalidOptionError(
            f"Another run is writing {output}. Wait for it to end, or write to another file."
        ) from error
    return lock


def _open(path: Path, mode: Literal["r", "w", "a"] = "r") -> TextIO:
    """Open a text file; names of files with invalid UTF-8 are kept."""
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """Write a file beside `path` that replaces it once everything is written."""
    with replacing(path) as temporary, _open(temporary, "w") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def _journal_line(row: ScoredImage) -> str:
    record = {"name": row.name, "scores": dict(row.scores), "error": row.error, "window": row.window}
    return json.dumps(record) + "\n"


def _read_journal(path: Path) -> Iterator[ScoredImage]:
    with _open(path) as stream:
        stream.readline()
        for record in map(_parse_line, stream):
            if record.keys() == {"name", "scores", "error", "window"}:
                yield ScoredImage(**record)


def _parse_line(line: str) -> dict[str, Any]:
    """Parse a line of the journal; empty if it is corrupt, as a killed run may leave it. Its image is scored again."""
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _write_finished(path: Path, file_format: Format, rows: Iterable[ScoredImage], columns: Sequence[str]) -> None:
    if file_format == "parquet":
        with replacing(path) as temporary:
            write_parquet_rows(temporary, rows, columns)
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
        return
    with _replacing(path) as stream:
        stream.write(format_start(columns, file_format))
        stream.writelines(format_row(row, columns, file_format) for row in rows)


def _read_finished(path: Path, file_format: Format, columns: Sequence[str]) -> Iterator[ScoredImage]:
    try:
        yield from _finished_rows(path, file_format, columns)
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        if isinstance(error, InvalidOptionError):
            raise
        raise InvalidOptionError(
            f"{path} is not a file of scores written by this program ({error!r}). Move it away, or choose another name."
        ) from error


def _finished_rows(path: Path, file_format: Format, columns: Sequence[str]) -> Iterator[ScoredImage]:
    if file_format == "parquet":
        _require_same_columns(path, read_parquet_columns(path), columns)
        yield from read_parquet_rows(path)
        return
    with _open(path) as stream:
        yield from _csv_rows(path, stream, columns) if file_format == "csv" else _json_rows(path, stream, columns)


def _csv_rows(path: Path, stream: TextIO, columns: Sequence[str]) -> Iterator[ScoredImage]:
    reader = csv.DictReader(stream)
    _require_same_columns(path, list(reader.fieldnames or [])[1:-1], columns)
    for record in reader:
        scores = {column: float(record[column]) for column in columns if record[column]}
        yield ScoredImage(unmarked(record["image"]), scores, unmarked(record["error"]) or None)


def _json_rows(path: Path, stream: TextIO, columns: Sequence[str]) -> Iterator[ScoredImage]:
    for line in stream:
        record = json.loads(line)
        scores = {key: value for key, value in record.items() if key not in ("image", "error")}
        if "error" not in record:
            _require_same_columns(path, list(scores), columns)
        yield ScoredImage(record["image"], scores, record.get("error"))


def _require_same_columns(path: Path, found: Sequence[str], expected: Sequence[str]) -> None:
    if list(found) != list(expected):
        raise InvalidOptionError(
            f"{path} has the columns {list(found)}, but this run scores {list(expected)}. "
            "Resume with the same metrics in the same order, or write to another file."
        )
