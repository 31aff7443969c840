"""Rows of scores as a Parquet table: `image`, a column of float32 for each score, `error`."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from perceptmetrics.errors import MissingExtraError
from perceptmetrics.scoring.results import ScoredImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["read_parquet_columns", "read_parquet_rows", "require_pyarrow", "write_parquet_rows"]

_ROWS_PER_GROUP = 65_536


def require_pyarrow() -> None:
    """Raise `MissingExtraError` if pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401, ICN001 - whether it can be imported is the question
    except ImportError as error:
        raise MissingExtraError("Writing Parquet", "parquet") from error


def write_parquet_rows(path: Path, rows: Iterable[ScoredImage], columns: Sequence[str]) -> None:
    """Write a table in groups of rows, so that memory does not grow with the table.

    Args:
        path: File to write. It is not written atomically, so pass a temporary name.
        rows: The rows.
        columns: Score columns in order.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    scores = [(column, pa.float32()) for column in columns]
    schema = pa.schema([("image", pa.string()), *scores, ("error", pa.string())])
    remaining = iter(rows)
    with ParquetWriter(path, schema) as writer:
        while group := list(itertools.islice(remaining, _ROWS_PER_GROUP)):
            cells: dict[str, list[Any]] = {"image": [_text(row.name) for row in group]}
            for column in columns:
                cells[column] = [row.scores.get(column) for row in group]
            cells["error"] = [None if row.error is None else _text(row.error) for row in group]
            writer.write_table(pa.table(cells, schema=schema))


def read_parquet_columns(path: Path) -> list[str]:
    """The score columns of a table."""
    from pyarrow.parquet import read_schema

    return list(read_schema(path).names)[1:-1]


def read_parquet_rows(path: Path) -> Iterator[ScoredImage]:
    """Read the rows of a table written by `write_parquet_rows`, in groups."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as table:
        for group in table.iter_batches(batch_size=_ROWS_PER_GROUP):
            for cells in group.to_pylist():
                name, error = cells.pop("image"), cells.pop("error")
                yield ScoredImage(name, {} if error is not None else cells, error)


def _text(text: str) -> str:
    """Text as valid UTF-8; invalid bytes in names of files are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
