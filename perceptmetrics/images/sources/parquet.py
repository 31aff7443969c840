"""Parquet tables with a column of images, read in small batches of rows.

The column holds encoded images, paths, or structs of both as Hugging Face's `datasets` writes them
(https://huggingface.co/docs/datasets/about_dataset_features).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perceptmetrics.errors import InvalidImageError, MissingExtraError, first_line
from perceptmetrics.images.addresses import is_address, open_location
from perceptmetrics.images.sources.named import PROMPT_COLUMNS, NamedImage, ReadOptions

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from perceptmetrics.images.load import ImageSource

__all__ = ["PARQUET_SUFFIXES", "read_parquet", "resolve_cell"]

PARQUET_SUFFIXES = (".parquet",)
_ROWS = 32
_USUAL_COLUMNS = ("image", "img", "jpg", "jpeg", "png", "webp")


def read_parquet(location: str, options: ReadOptions, known: Container[str]) -> Iterator[NamedImage]:
    """Read the images of a Parquet file.

    Args:
        location: Path or address.
        options: Which columns hold images and keys.
        known: Names of images not to be read.

    Yields:
        Images, named `location/key`, or `location/row` counted from 0 if there is no column of keys. If the file cannot
        be read, the last one bears the file's name and the error, after all images before that point.

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
        with open_location(location) as stream, ParquetFile(stream, pre_buffer=False) as table:
            image, key, prompt = _columns(table.schema_arrow, options)
            columns = list(dict.fromkeys(column for column in (image, key, prompt) if column is not None))
            for rows in table.iter_batches(batch_size=_ROWS, columns=columns):
                for row in rows.to_pylist():
                    name = f"{location}/{count if key is None else row[key]}"
                    cell = None if name in known else resolve_cell(row[image], location)
                    text = None if prompt is None or row[prompt] is None else str(row[prompt])
                    count += 1
                    yield NamedImage(name, cell, location, text)
        reason = "" if count else "it has no rows"
    except FileNotFoundError:
        reason = "it does not exist"
    except InvalidImageError as error:
        reason = str(error)
    except (pa.ArrowException, OSError) as error:
        reason = f"it is corrupt after {count} images: {first_line(error)}"
    if reason:
        yield NamedImage(location, InvalidImageError(f"{location} cannot be read: {reason}."), location)


def _columns(schema: Any, options: ReadOptions) -> tuple[str, str | None, str | None]:
    """The column of images and, if there are any, the columns of keys and of prompts."""
    names = list(schema.names)
    image = options.image_column or _guessed_image_column(schema)
    for column in (image, options.key_column, options.prompt_column):
        if column is not None and names.count(column) != 1:
            raise InvalidImageError(f"it has no column {column!r}; its columns are {', '.join(map(repr, names))}")
    usual = [name for wanted in PROMPT_COLUMNS for name in names if name.lower() == wanted]
    return image, options.key_column, options.prompt_column or next(iter(usual), None)


def _guessed_image_column(schema: Any) -> str:
    import pyarrow.types as types

    usual = [name for name in schema.names if name.lower() in _USUAL_COLUMNS]
    encoded = [field.name for field in schema if types.is_binary(field.type) or types.is_large_binary(field.type)]
    for found in (usual, encoded):
        if len(found) == 1:
            return str(found[0])
    raise InvalidImageError(
        f"which of its columns holds the images? Name it with --image-column (image_column=): "
        f"{', '.join(map(repr, schema.names))}"
    )


def resolve_cell(cell: Any, location: str) -> ImageSource | InvalidImageError:
    """The content of a cell: encoded bytes, a path, or a struct of both, whose bytes take precedence."""
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, (bytes, bytearray)):
        return bytes(cell)
    if not isinstance(cell, str):
        found = "nothing" if cell is None else type(cell).__name__
        return InvalidImageError(f"The cell holds {found}; expected encoded bytes, a path, or a struct of both.")
    return _resolved(cell, location)


def _resolved(path: str, location: str) -> str:
    """A path as given or, if nothing exists there, relative to the table."""
    if is_address(path):
        return path
    if is_address(location):
        return f"{location.rpartition('/')[0]}/{path}"
    return path if Path(path).exists() else os.fspath(Path(location).parent / path)
