"""Parquet tables with a column of images, read in small batches of rows.

The column holds encoded images, paths, structs of both as Hugging Face's `datasets` writes them
(https://huggingface.co/docs/datasets/about_dataset_features), or lists of any of these. A page of a file is unpacked
whole, which the format limits to 2 GiB; beyond that, no more is held than the images of one batch.
"""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any

from perceptmetrics._util.files import NotAFileError
from perceptmetrics.errors import InvalidImageError, MissingExtraError, first_line
from perceptmetrics.images.addresses import is_address, open_location
from perceptmetrics.images.limits import MAX_HELD_BYTES, check_size
from perceptmetrics.images.sources.cells import TableCells
from perceptmetrics.images.sources.named import NamedImage, ReadOptions
from perceptmetrics.images.sources.parquet_columns import choose_columns, holds_bytes, holds_many

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

__all__ = ["PARQUET_SUFFIXES", "read_parquet"]

PARQUET_SUFFIXES = (".parquet",)
_ROWS = 32
_BUFFER_BYTES = 1 << 20


def read_parquet(location: str, options: ReadOptions, known: Container[str]) -> Iterator[NamedImage]:
    """Read the images of a Parquet file.

    Args:
        location: Path or address.
        options: Which columns hold images and keys, and which paths are followed.
        known: Names of images not to be read.

    Yields:
        Images, named `location/key`, or `location/row` counted from 0 if there is no column of keys; those of a list
        `location/row/number`. If the file cannot be read, the last one bears the file's name and the error, after all
        images before that point.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError(f"Reading {location}", "parquet") from error
    count = 0
    try:
        with (
            open_location(location) as stream,
            ParquetFile(_Bounded(stream), pre_buffer=False, buffer_size=_BUFFER_BYTES) as table,
        ):
            for image in _images(table, location, options, known):
                count += 1
                yield image
        reason = "" if count else "it has no rows"
    except FileNotFoundError as error:
        reason = "it does not exist" if is_address(location) else str(error).replace(location, "it", 1)
    except (InvalidImageError, NotAFileError) as error:
        reason = str(error).replace(location, "it", 1)
    except (pa.ArrowException, OSError) as error:
        reason = f"it is corrupt after {count} images: {first_line(error)}"
    if reason:
        yield NamedImage(location, InvalidImageError(f"{location} cannot be read: {reason}."), location)


class _Bounded:
    """A file of which at most the rest is read: Python takes memory for all that a corrupt page claims to have."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._size = stream.seek(0, os.SEEK_END)
        stream.seek(0)

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._stream.tell())
        return self._stream.read(left if size < 0 else min(size, left))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _images(table: Any, location: str, options: ReadOptions, known: Container[str]) -> Iterator[NamedImage]:
    import pyarrow as pa

    image, key, prompt = choose_columns(table.schema_arrow, options)
    columns = list(dict.fromkeys(column for column in (image, key, prompt) if column is not None))
    cells, first = TableCells(location, options), 0
    for group in range(table.num_row_groups):
        size, row = table.metadata.row_group(group).num_rows, first
        batch_size = _rows_at_once(table.metadata.row_group(group), image)
        try:
            for rows in table.iter_batches(batch_size=batch_size, row_groups=[group], columns=columns):
                texts = None if prompt is None else rows[prompt].to_pylist()
                keys = range(row, row + rows.num_rows) if key is None else rows[key].to_pylist()
                for index, name in enumerate(keys):
                    text = None if texts is None or texts[index] is None else str(texts[index])
                    yield from _of_cell(rows[image][index], f"{location}/{name}", cells, known, location, text)
                row += rows.num_rows
        except pa.ArrowMemoryError:
            reason = f"{location}: rows {row} to {first + size - 1} need more memory than there is."
            yield NamedImage(f"{location}/{row}", InvalidImageError(reason), location)
        first += size


def _of_cell(
    scalar: Any, name: str, cells: TableCells, known: Container[str], location: str, prompt: str | None
) -> Iterator[NamedImage]:
    """The image of a cell, or the images of a list."""
    if not holds_many(scalar.type) or not scalar.is_valid:
        yield NamedImage(name, None if name in known else cells.source_of(_value(scalar)), location, prompt)
        return
    if len(scalar.values) == 0:
        yield NamedImage(name, InvalidImageError("The cell holds an empty list; expected images."), location, prompt)
    for number, element in enumerate(scalar.values):
        own = f"{name}/{number}"
        yield NamedImage(own, None if own in known else cells.source_of(_value(element)), location, prompt)


def _rows_at_once(group: Any, image: str) -> int:
    """How many rows fit into the limit, by the sizes that the file states.

    A value of a dictionary may be repeated in every row.
    """
    chunks: list[Any] = [group.column(index) for index in range(group.num_columns)]
    own = [chunk for chunk in chunks if chunk.path_in_schema.split(".")[0] == image or chunk.path_in_schema == image]
    total: int = sum(chunk.total_uncompressed_size for chunk in own)
    repeats = any("DICTIONARY" in encoding for chunk in own for encoding in chunk.encodings)
    largest = total if repeats else total // max(1, group.num_rows)
    return max(1, min(_ROWS, MAX_HELD_BYTES // max(1, largest)))


def _value(scalar: Any) -> Any:
    """What a cell holds: bytes, text, a dictionary of both, or nothing; an error if it is too large."""
    import pyarrow.types as types

    while types.is_dictionary(scalar.type) or isinstance(getattr(scalar.type, "extension_name", None), str):
        scalar = scalar.value
    if not scalar.is_valid:
        return None
    if types.is_struct(scalar.type):
        present = [name for name in ("bytes", "path") if scalar.type.get_field_index(name) >= 0]
        return {name: _value(scalar[name]) for name in present} if present else scalar.as_py()
    try:
        if holds_bytes(scalar.type):
            check_size(len(scalar.values), "The cell")
            if scalar.values.null_count:
                raise InvalidImageError("The cell holds a list of bytes with gaps.")
            return scalar.values.to_numpy(zero_copy_only=False).tobytes()
        if hasattr(scalar, "as_buffer"):
            check_size(scalar.as_buffer().size, "The cell")
    except InvalidImageError as error:
        return error
    return scalar.as_py()
