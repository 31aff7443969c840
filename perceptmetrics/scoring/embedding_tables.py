"""Columns of embeddings, keys and texts in Parquet tables."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perceptmetrics.errors import InvalidEmbeddingError, MissingExtraError, first_line
from perceptmetrics.images.sources.named import PROMPT_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["TableOptions", "TableRows", "read_columns", "read_table"]

_USUAL_COLUMNS = ("embedding", "embeddings", "image_embedding", "clip_embedding", "img_emb", "vector")


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """Which columns of tables are read.

    Attributes:
        embeddings: The column of embeddings; None for the only one, or that with a usual name.
        keys: The column of names; None for numbers of rows.
        prompts: The column of texts; None for that with a usual name.
        with_prompts: Whether texts are read at all.
    """

    embeddings: str | None = None
    keys: str | None = None
    prompts: str | None = None
    with_prompts: bool = False

    @property
    def reads_metadata(self) -> bool:
        """Whether anything but the embeddings is read."""
        return self.keys is not None or self.with_prompts


@dataclass(frozen=True, kw_only=True)
class TableRows:
    """Consecutive rows of a table.

    Attributes:
        rows: Shape (N, D).
        errors: Why some of them hold no embedding, by index.
        keys: Their names, where they are read.
        prompts: Their texts, where they are read.
    """

    rows: np.ndarray
    errors: dict[int, str]
    keys: list[Any] | None
    prompts: list[str | None] | None


def read_table(path: Path, options: TableOptions, size: int) -> Iterator[tuple[int, TableRows]]:
    """Read a table with a column of embeddings, in batches of rows.

    Args:
        path: The table.
        options: Which columns are read.
        size: Most rows at once.

    Yields:
        The number of the first row, and the rows.

    Raises:
        InvalidEmbeddingError: It is corrupt, or the column is missing, not clear, or does not hold lists of numbers.
        MissingExtraError: pyarrow is not installed.
    """
    with _opened(path) as table:
        column = _embedding_column(table.schema_arrow, options, path)
        keys, prompts = _other_columns(table.schema_arrow, options, path)
        wanted = list(dict.fromkeys(name for name in (column, keys, prompts) if name is not None))
        first, width = 0, None
        for batch in table.iter_batches(batch_size=size, columns=wanted):
            rows, errors = _as_array(batch[column], width)
            width = rows.shape[1] or width
            read = TableRows(rows=rows, errors=errors, keys=_texts(batch, keys), prompts=_texts(batch, prompts))
            yield first, read
            first += batch.num_rows


def read_columns(
    path: Path, options: TableOptions, size: int
) -> Iterator[tuple[list[Any] | None, list[str | None] | None]]:
    """Read keys and texts, in batches of exactly `size` rows but for the last.

    Yields:
        Keys and texts, None for what is not read.

    Raises:
        InvalidEmbeddingError: The table is corrupt, or a column is missing.
    """
    with _opened(path) as table:
        names = _other_columns(table.schema_arrow, options, path)
        waiting: list[list[Any] | None] = [None if name is None else [] for name in names]
        for batch in table.iter_batches(batch_size=size, columns=list(dict.fromkeys(filter(None, names)))):
            for column, name in zip(waiting, names, strict=True):
                if column is not None:
                    column += _texts(batch, name) or []
            while any(column is not None and len(column) >= size for column in waiting):
                yield _first(waiting, size)
        if any(waiting):
            yield _first(waiting, size)


def _first(columns: list[list[Any] | None], size: int) -> tuple[list[Any] | None, list[Any] | None]:
    """Take the first rows away."""
    keys, prompts = (None if column is None else column[:size] for column in columns)
    for column in columns:
        if column is not None:
            del column[:size]
    return keys, prompts


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError(f"Reading {path}", "parquet") from error
    try:
        with ParquetFile(path) as table:
            yield table
    except (pa.ArrowException, OSError) as error:
        raise InvalidEmbeddingError(f"{path} cannot be read: {first_line(error)}.") from error


def _embedding_column(schema: Any, options: TableOptions, path: Path) -> str:
    lists = [field.name for field in schema if _is_embedding(field.type)]
    if options.embeddings is not None:
        if options.embeddings in lists:
            return options.embeddings
        raise InvalidEmbeddingError(
            f"{path} has no column {options.embeddings!r} of lists of floating-point numbers; it has "
            f"{', '.join(f'{field.name} ({field.type})' for field in schema)}."
        )
    usual = [name for name in lists if name.lower() in _USUAL_COLUMNS]
    for found in (lists, usual):
        if len(found) == 1:
            return str(found[0])
    raise InvalidEmbeddingError(
        f"Which column of {path} holds the embeddings? Name it with --embedding-column: "
        f"{', '.join(f'{field.name} ({field.type})' for field in schema)}."
    )


def _is_embedding(kind: Any) -> bool:
    import pyarrow.types as types

    kind = getattr(kind, "storage_type", kind)
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(is_list and types.is_floating(kind.value_type))


def _other_columns(schema: Any, options: TableOptions, path: Path) -> tuple[str | None, str | None]:
    """The columns of keys and of texts that are read."""
    usual = (name for wanted in PROMPT_COLUMNS for name in schema.names if name.lower() == wanted)
    prompts = options.prompts or next(usual, None) if options.with_prompts else None
    if options.with_prompts and prompts is None:
        raise InvalidEmbeddingError(
            f"{path} has no column of texts, with which a metric compares each embedding. Name it with "
            f"--prompt-column: {', '.join(schema.names)}."
        )
    for name in (options.keys, prompts):
        if name is not None and schema.names.count(name) != 1:
            raise InvalidEmbeddingError(f"{path} has no column {name!r}; it has {', '.join(schema.names)}.")
    return options.keys, prompts


def _texts(batch: Any, column: str | None) -> list[Any] | None:
    return None if column is None else [None if cell is None else str(cell) for cell in batch[column].to_pylist()]


def _as_array(column: Any, width: int | None) -> tuple[np.ndarray, dict[int, str]]:
    """A column of lists as rows of equal width; what is missing or of another width is an error of its row."""
    import pyarrow.compute as compute

    column = getattr(column, "storage", column)
    lengths = compute.list_value_length(column).fill_null(-1).to_numpy(zero_copy_only=False)
    present = lengths[lengths >= 0]
    width = width or (int(np.bincount(present).argmax()) if len(present) else 0)
    good = lengths == width
    values = column.filter(good).flatten() if not good.all() else column.flatten()
    numbers = values.to_numpy(zero_copy_only=False)
    if good.all():
        return numbers.reshape(len(lengths), width), {}
    rows = np.zeros((len(lengths), width), numbers.dtype)
    rows[good] = numbers.reshape(int(good.sum()), width)
    reasons = {
        int(index): "The cell is empty." if lengths[index] < 0 else f"It has {lengths[index]} numbers, not {width}."
        for index in np.flatnonzero(~good)
    }
    return rows, reasons
