"""Files of embeddings: NumPy arrays, Parquet columns, and folders of them as clip-retrieval writes them.

    folder/img_emb/img_emb_0.npy, img_emb_1.npy, ...      one row an image, memory-mapped
    folder/metadata/metadata_0.parquet, ...               for each of them: paths, captions

Read in chunks; no file is read whole, and no pickle in one is ever opened. Knows nothing of metrics.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perceptmetrics._util.files import check_regular, expand_home
from perceptmetrics.errors import InvalidEmbeddingError, first_line
from perceptmetrics.scoring.embedding_tables import TableOptions, read_columns, read_table

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Chunk", "Shard", "find_shards", "read_shard"]

CHUNK = 16_384  # rows; the unit of memory, and of what an interrupted run repeats
_ARRAYS, _METADATA = "img_emb", "metadata"
_NUMBER = re.compile(r"(\d+)$")


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Consecutive rows of a file.

    Attributes:
        names: What identifies each row.
        rows: Shape (N, D), floating point.
        prompts: The text of each row; None where they are not asked for.
        errors: Why some rows hold no embedding, by index; what stands in `rows` there means nothing.
    """

    names: list[str]
    rows: np.ndarray
    prompts: list[str | None] | None
    errors: dict[int, str]


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One file of embeddings.

    Attributes:
        path: The file.
        metadata: The table with a row for each of its rows; None for none, or if the file is such a table itself.
        shape: Numbers of rows and columns; None where the file has to be read to know them.
    """

    path: Path
    metadata: Path | None
    shape: tuple[int, int] | None


def find_shards(location: str, options: TableOptions) -> list[Shard]:
    """The files that a path stands for, in order of their numbers.

    Args:
        location: A `.npy` or `.parquet` file, a folder of them, or one that holds such a folder `img_emb`.
        options: Which columns are read. Where any but that of the embeddings is, arrays need a table beside them.

    Raises:
        InvalidEmbeddingError: There are none, one is no array of floating-point numbers with two axes, or a table that
            is needed is missing.
    """
    path = expand_home(location)
    if not path.is_dir():
        return [_shard(path, options)]
    folder = path / _ARRAYS if (path / _ARRAYS).is_dir() else path
    for suffix in (".npy", ".parquet"):
        files = sorted((file for file in folder.glob(f"*{suffix}") if not file.name.startswith(".")), key=_natural)
        if files:
            return [_shard(file, options) for file in files]
    raise InvalidEmbeddingError(
        f"The folder {folder} holds no embeddings: expected .npy or .parquet files, or a folder {_ARRAYS!r} with them."
    )


def read_shard(shard: Shard, options: TableOptions) -> Iterator[Chunk]:
    """Read a file in chunks of rows.

    Args:
        shard: The file.
        options: Which columns are read.

    Yields:
        Its rows in order, named `file/key`, or `file/row` counted from 0 where no column of keys is named.

    Raises:
        InvalidEmbeddingError: It is corrupt, or its table has another number of rows.
    """
    if shard.shape is None:
        for first, columns in read_table(shard.path, options, CHUNK):
            yield _chunk(shard, first, columns.rows, columns.errors, columns.keys, columns.prompts)
        return
    array, metadata = _open_array(shard.path), None
    if shard.metadata is not None:
        metadata = read_columns(shard.metadata, options, CHUNK)
    for first in range(0, len(array), CHUNK):
        rows = array[first : first + CHUNK]
        keys = prompts = None
        if metadata is not None:
            keys, prompts = next(metadata, (None, None))
            _check_same_length(shard, first, len(rows), keys if keys is not None else prompts)
        yield _chunk(shard, first, rows, {}, keys, prompts)
    if metadata is not None and next(metadata, None) is not None:
        raise _unequal(shard, "more")


def _chunk(
    shard: Shard,
    first: int,
    rows: np.ndarray,
    errors: dict[int, str],
    keys: list[Any] | None,
    prompts: list[str | None] | None,
) -> Chunk:
    names = range(first, first + len(rows)) if keys is None else keys
    return Chunk(names=[f"{shard.path}/{name}" for name in names], rows=rows, prompts=prompts, errors=errors)


def _check_same_length(shard: Shard, first: int, count: int, column: list[Any] | None) -> None:
    if column is None or len(column) < count:
        raise _unequal(shard, f"{first + len(column or ())}")
    if len(column) > count:
        raise _unequal(shard, "more")


def _unequal(shard: Shard, found: str) -> InvalidEmbeddingError:
    rows = shard.shape[0] if shard.shape else 0
    return InvalidEmbeddingError(
        f"{shard.metadata} should have a row for each of the {rows:,} rows of {shard.path}, it has {found}. They do "
        "not belong together, or one of them is incomplete."
    )


def _shard(path: Path, options: TableOptions) -> Shard:
    try:
        check_regular(path)
    except OSError as error:
        raise InvalidEmbeddingError(f"{first_line(error)}; expected a file or folder of embeddings.") from error
    if path.suffix == ".parquet":
        return Shard(path=path, metadata=None, shape=None)
    if path.suffix != ".npy":
        raise InvalidEmbeddingError(
            f"{path} is neither .npy nor .parquet, nor a folder of them. Write NumPy arrays with numpy.save."
        )
    array = _open_array(path)
    metadata = _metadata_of(path) if options.reads_metadata else None
    return Shard(path=path, metadata=metadata, shape=(len(array), array.shape[1]))


def _open_array(path: Path) -> np.ndarray:
    """Map an array into memory; what would be unpickled is refused."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OverflowError, OSError, SyntaxError, EOFError) as error:
        reason = (
            "it holds Python objects, which are never read" if "object" in str(error).lower() else first_line(error)
        )
        raise InvalidEmbeddingError(f"{path} is no array of numbers that can be read: {reason}.") from error
    if array.ndim != 2 or array.dtype.kind != "f":
        raise InvalidEmbeddingError(
            f"{path} should hold floating-point numbers of shape (images, width), got {array.dtype} of shape "
            f"{array.shape}."
        )
    return array


def _metadata_of(path: Path) -> Path:
    """The table that belongs to an array: that with the same number at its end."""
    number = _NUMBER.search(path.stem)
    names = [path.with_suffix(".parquet").name, *([f"{_METADATA}_{number[1]}.parquet"] if number else [])]
    candidates = [folder / name for folder in (path.parent.parent / _METADATA, path.parent) for name in names]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise InvalidEmbeddingError(
        f"{path} needs a table beside it, with the keys or texts of its rows. Expected "
        f"{' or '.join(map(str, candidates))}."
    )


def _natural(path: Path) -> list[tuple[int, str]]:
    """A name with its numbers as numbers, so that 10 comes after 9."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isascii() and part.isdigit() else (0, part) for part in parts]
