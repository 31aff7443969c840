"""CSV tables with a column of image paths and, for metrics that compare each image with a text, one of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics._util.delimited import TextTableError, read_delimited
from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.addresses import is_address, open_location
from perceptmetrics.images.limits import MAX_TABLE_BYTES, read_limited
from perceptmetrics.images.sources.cells import TableCells
from perceptmetrics.images.sources.named import PROMPT_COLUMNS, NamedImage, ReadOptions

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

__all__ = ["CSV_SUFFIXES", "read_csv"]

CSV_SUFFIXES = (".csv",)
_IMAGE_COLUMNS = ("image", "image_path", "path", "file", "filename", "file_name", "image_name", "name", "img", "url")


def read_csv(location: str, options: ReadOptions, known: Container[str]) -> Iterator[NamedImage]:
    """Read the images that a CSV file names, in the encodings and with the separators of `read_delimited`.

    Args:
        location: Path or address; relative paths in it are relative to its folder.
        options: Which columns hold images, keys and prompts, and which paths are followed.
        known: Names of images that are not to be read.

    Yields:
        Images, named by their path in the table, or by their key. Where the file cannot be read, an image of its name
        says so, after all that came before it.
    """
    count, reason, resolved = 0, "", TableCells(location, options)
    try:
        with open_location(location) as stream:
            table = read_delimited(read_limited(stream, location, MAX_TABLE_BYTES), location)
        image, key, prompt = _columns(table.header, options)
        for _, cells in table.rows:
            count += 1
            if len(cells) < len(table.header):
                raise InvalidImageError(f"row {count} has another number of cells than the header")
            row = dict(zip(table.header, cells, strict=True))
            name = row[key] if key is not None else row[image]
            source = None if name in known else resolved.source_of(row[image])
            yield NamedImage(name, source, location, row[prompt] if prompt is not None else None)
        reason = "" if count else "it has no rows"
    except FileNotFoundError as error:
        reason = "it does not exist" if is_address(location) else str(error).replace(location, "it", 1)
    except (InvalidImageError, TextTableError, OSError) as error:
        reason = str(error).replace(location, "it", 1).removesuffix(".")
    if reason:
        yield NamedImage(location, InvalidImageError(f"{location} cannot be read: {reason}."), location)


def _columns(header: Sequence[str], options: ReadOptions) -> tuple[str, str | None, str | None]:
    """The column of images and, if there are any, those of keys and of prompts."""
    image = options.image_column or _first(header, _IMAGE_COLUMNS)
    if image is None:
        raise InvalidImageError(
            "which of its columns holds the images? Name it with --image-column (image_column=): "
            f"{', '.join(map(repr, header))}"
        )
    for column in (image, options.key_column, options.prompt_column):
        if column is not None and list(header).count(column) != 1:
            raise InvalidImageError(f"it has no column {column!r}; its columns are {', '.join(map(repr, header))}")
    return image, options.key_column, options.prompt_column or _first(header, PROMPT_COLUMNS)


def _first(header: Sequence[str], usual: Sequence[str]) -> str | None:
    """The first of the usual names that a table has."""
    return next((name for wanted in usual for name in header if name.lower() == wanted), None)
