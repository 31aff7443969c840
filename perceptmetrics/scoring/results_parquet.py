"""Rows of scores as a Parquet table: `image`, a column of float32 for each score, `error`."""

from __future__ import annotations

import itertools
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from perceptmetrics.errors import MissingExtraError, first_line
from perceptmetrics.scoring.results import NotScoresError, ScoredImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["read_parquet_rows", "require_pyarrow", "valid_text", "write_parquet_rows"]

_ORIGIN = b"perceptmetrics"
_ROWS_PER_GROUP = 65_536
_TEXTS = {"string", "large_string"}
_NUMBERS = {"float", "double"}


def require_pyarrow() -> None:
    """Raise `MissingExtraError` if pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401, ICN001 - whether it can be imported is the question
    except ImportError as error:
        raise MissingExtraError("Writing Parquet", "parquet") from error


def write_parquet_rows(
    path: Path, rows: Iterable[ScoredImage], columns: Sequence[str], origin: Mapping[str, str]
) -> None:
    """Write a table in groups of rows, so that memory does not grow with the table.

    Args:
        path: File to write. It is not written atomically, so pass a temporary name.
        rows: The rows.
        columns: Score columns in order.
        origin: What the scores were computed with, for the metadata of the table.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    scores = [(column, pa.float32()) for column in columns]
    metadata = {_ORIGIN: json.dumps(dict(origin))}
    schema = pa.schema([("image", pa.string()), *scores, ("error", pa.string())], metadata=metadata)
    remaining = iter(rows)
    with ParquetWriter(path, schema) as writer:
        while group := list(itertools.islice(remaining, _ROWS_PER_GROUP)):
            cells: dict[str, list[Any]] = {"image": [valid_text(row.name) for row in group]}
            for column in columns:
                cells[column] = [row.scores.get(column) for row in group]
            cells["error"] = [None if row.error is None else valid_text(row.error) for row in group]
            writer.write_table(pa.table(cells, schema=schema))


def read_parquet_rows(path: Path) -> tuple[list[str], dict[str, str], Iterator[ScoredImage]]:
    """Read a table written by `write_parquet_rows`.

    Returns:
        Its score columns, what its scores were computed with (empty if it does not say), and its rows, in groups.

    Raises:
        NotScoresError: It is not such a table, now or while rows are read.
    """
    from pyarrow.parquet import read_schema

    with _damage_named():
        schema = read_schema(path)
        names, types = list(schema.names), [str(kind) for kind in schema.types]
    if names[:1] != ["image"] or names[-1:] != ["error"]:
        raise NotScoresError(f"its columns are {', '.join(names) or 'none'}")
    if not {types[0], types[-1]} <= _TEXTS or not set(types[1:-1]) <= _NUMBERS:
        raise NotScoresError(f"its columns hold {', '.join(types)}")
    return names[1:-1], _origin((schema.metadata or {}).get(_ORIGIN, b"{}")), _rows(path)


def _origin(document: bytes) -> dict[str, str]:
    try:
        origin = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise NotScoresError("what it says of its origin is no JSON") from error
    if not isinstance(origin, dict):
        raise NotScoresError("what it says of its origin is no object")
    return origin


def _rows(path: Path) -> Iterator[ScoredImage]:
    from pyarrow.parquet import ParquetFile

    with _damage_named(), ParquetFile(path) as table:
        for group in table.iter_batches(batch_size=_ROWS_PER_GROUP):
            for cells in group.to_pylist():
                name, error = cells.pop("image"), cells.pop("error")
                if name is None:
                    raise NotScoresError("it has a row without an image")
                yield ScoredImage(name, {} if error is not None else cells, error)


@contextmanager
def _damage_named() -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's, not pyarrow's
            raise
        raise NotScoresError(first_line(error)) from error


def valid_text(text: str) -> str:
    """Text as valid UTF-8; invalid bytes in names of files are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
