"""Scores on disk: an append-only journal during a run, one finished file at its end.

Rows are appended to the journal `OUTPUT.partial` in input order and flushed. So a killed run loses only the few images
that were being scored or waited for a batch. At the end the journal is rendered to a temporary file that replaces
`OUTPUT`: there is always either the old or the new finished file, never half of it.

A journal names what its scores are computed with (see `origin`), and so does a Parquet file. Where there is no such
record, in CSV and JSON Lines and in files of earlier versions, the caller's `verify` decides whether scores may be
taken over.

Images are batched within windows of the stream, and the last bits of a score depend on its batch. A resumed run scores
the last window of the journal again from its beginning, so that its batches are those of an uninterrupted run.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from filelock import FileLock, Timeout

from perceptmetrics._util.atomic import replacing
from perceptmetrics._util.full_disk import explain_full_disk
from perceptmetrics._util.text import recomposed
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.scoring.origin import check_origin
from perceptmetrics.scoring.results import Format, ScoredImage, format_row, format_start
from perceptmetrics.scoring.results_journal import block_line, journal_line, open_text, parse_line, read_journal
from perceptmetrics.scoring.results_parquet import require_pyarrow, valid_text, write_parquet_rows
from perceptmetrics.scoring.results_read import read_finished, require_same_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from perceptmetrics.scoring.origin import Origin

__all__ = ["ResultsFile"]

_ADVICE = "continue with --resume"


class ResultsFile:
    """The file that a run of scoring writes.

    Args:
        output: The finished file.
        file_format: Its format.
        columns: Score columns.
        resume: Continue an interrupted run, or add to a finished file. Images with a score are not scored again,
            images that failed are. Rows of images that are not among the images of this run are kept and come first.
            Names and scores of earlier rows are held in memory.
        origin: What the scores of this run are computed with.
        names: Names of images of this run, as far as they are known. Earlier rows whose names differ only in their
            Unicode composition, because files were copied to another system, are theirs.
        verify: Called with the earlier rows if no record says what they were computed with; raises if they may not be
            taken over. None to take them over.

    Attributes:
        done: Rows of earlier runs by image, without those that failed.

    Raises:
        FullDiskError: There is no room for the journal.
        InvalidOptionError: There is an interrupted run and `resume` is False, its columns or its origin differ, another
            run is writing the same file, or the path is not a regular file of scores.
    """

    def __init__(
        self,
        output: Path,
        file_format: Format,
        columns: Sequence[str],
        *,
        resume: bool,
        origin: Origin | None = None,
        names: Collection[str] = (),
        verify: Callable[[Mapping[str, ScoredImage]], None] | None = None,
    ) -> None:
        self.output = output = output.resolve()
        if output.exists() and not output.is_file():
            raise InvalidOptionError(f"{output} is not a regular file. To print the scores, leave out --output.")
        self.journal = output.with_name(output.name + ".partial")
        if file_format == "parquet":
            require_pyarrow()
        self._format = file_format
        self._columns = list(columns)
        self._origin = dict(origin or {})
        with explain_full_disk(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(output)
        try:
            self.done = self._take_over(resume=resume, names=names, verify=verify)
            self._order: list[str] | None = [] if resume else None
            self._stream = self._start_journal()
        except BaseException:
            self._unlock()
            raise

    def add(self, row: ScoredImage) -> None:
        """Append one row. A resumed run passes earlier rows again, in order; they are not written twice.

        Raises:
            FullDiskError: There is no room for it. The rows before it are in the journal.
        """
        self.add_all([row])

    def add_all(self, rows: Sequence[ScoredImage]) -> None:
        """Append rows that came together, as one line of the journal; see `add`. Of a line that is torn, none counts.

        Raises:
            FullDiskError: There is no room for them. The rows before them are in the journal.
        """
        if self._order is not None:
            self._order += [row.name for row in rows]
        new = [row for row in rows if row.name not in self.done]
        if new:
            with explain_full_disk(self.journal, _ADVICE):
                self._stream.write(journal_line(new[0]) if len(new) == 1 else block_line(new, self._columns))
                self._stream.flush()

    def close(self) -> None:
        """Stop without finishing; the journal remains for `resume`."""
        with suppress(OSError):  # all rows were flushed but one that did not fit, which is told already
            self._stream.close()
        self._unlock()

    def finish(self) -> None:
        """Render the journal to the finished file and remove it.

        Raises:
            FullDiskError: There is no room for it. The journal remains for `resume`.
        """
        try:
            with explain_full_disk(self.output, _ADVICE):
                self._render()
        finally:
            self.close()

    def _render(self) -> None:
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        rows: Iterable[ScoredImage] = read_journal(self.journal, self._columns)
        if self._order is not None:
            by_name = {**self.done, **{row.name: row for row in rows}}
            stored: Callable[[str], str] = valid_text if self._format == "parquet" else str
            given = {stored(name) for name in self._order}
            kept = [name for name in self.done if stored(name) not in given]
            rows = (by_name[name] for name in [*kept, *self._order])
        _write_finished(self.output, self._format, rows, self._columns, self._origin)
        self.journal.unlink()

    def _take_over(
        self, *, resume: bool, names: Collection[str], verify: Callable[[Mapping[str, ScoredImage]], None] | None
    ) -> dict[str, ScoredImage]:
        if not resume and self.journal.exists():
            raise InvalidOptionError(
                f"{self.journal} holds the scores of an interrupted run. Continue it with --resume, or delete it."
            )
        if not resume:
            return {}
        rows, origin = self._earlier()
        check_origin(self.journal if self.journal.exists() else self.output, origin, self._origin)
        known = {row.name: row for row in rows if row.error is None}
        name_now = {old: new for new, old in recomposed(*(_not_ascii(some) for some in (names, known))).items()}
        done = {name_now.get(name, name): replace(row, name=name_now.get(name, name)) for name, row in known.items()}
        if done and not origin and verify is not None:
            verify(done)
        self._origin = {**origin, **self._origin}
        return done

    def _unlock(self) -> None:
        if not self._lock.is_locked:
            return
        with suppress(PermissionError):  # Windows keeps open files; there the release removes it
            Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def _start_journal(self) -> TextIO:
        """Rewrite the journal with the earlier rows, through a temporary file, and leave it open for more."""
        with _replacing(self.journal) as stream:
            stream.write(json.dumps({"columns": self._columns, "origin": self._origin}) + "\n")
            stream.writelines(journal_line(replace(row, window=None)) for row in self.done.values())
        return open_text(self.journal, "a")

    def _earlier(self) -> tuple[list[ScoredImage], Origin]:
        """The rows of an interrupted run, which has taken over what it adds to; else those of the finished file."""
        if self.journal.exists():
            with open_text(self.journal) as stream:
                first = parse_line(stream.readline())
            if not isinstance(first.get("columns"), list) or not isinstance(first.get("origin", {}), dict):
                raise InvalidOptionError(
                    f"{self.journal} is corrupt: its first line does not name the columns. Delete it."
                )
            require_same_columns(self.journal, first["columns"], self._columns)
            rows = list(read_journal(self.journal, self._columns))
            last = rows[-1].window if rows else None
            whole = [row for row in rows if row.window is None or row.window != last]
            return whole, first.get("origin", {})
        if self.output.exists():
            finished = read_finished(self.output, self._format, self._columns)
            return finished.rows, finished.origin
        return [], {}


def _not_ascii(names: Iterable[str]) -> list[str]:
    return [name for name in names if not name.isascii()]


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


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """Write a file beside `path` that replaces it once everything is written."""
    with replacing(path) as temporary, open_text(temporary, "w") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def _write_finished(
    path: Path, file_format: Format, rows: Iterable[ScoredImage], columns: Sequence[str], origin: Origin
) -> None:
    if file_format == "parquet":
        with replacing(path) as temporary:
            write_parquet_rows(temporary, rows, columns, origin)
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
        return
    with _replacing(path) as stream:
        stream.write(format_start(columns, file_format))
        stream.writelines(format_row(row, columns, file_format) for row in rows)
