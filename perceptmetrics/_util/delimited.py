"""Read tables of text as people's programs write them: the usual encodings and separators, with line numbers."""

from __future__ import annotations

import csv
import io
import logging
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DelimitedText", "TextTableError", "decode_text", "read_delimited"]

_MARKS = (
    (BOM_UTF8, "utf-8"),
    (BOM_UTF32_LE, "utf-32-le"),  # begins like UTF-16's, so it comes first
    (BOM_UTF32_BE, "utf-32-be"),
    (BOM_UTF16_LE, "utf-16-le"),
    (BOM_UTF16_BE, "utf-16-be"),
)
_STATED_SEPARATOR = re.compile(r'"?sep=(.)"?[,;\t ]*', re.IGNORECASE)
_SEPARATORS = "\t;|,"
_ROWS_TO_JUDGE = 50

Records: TypeAlias = "Iterator[tuple[int, list[str]]]"
"""Rows of cells, each with the number of its first line."""

_log = logging.getLogger(__name__)


class TextTableError(ValueError):
    """A file is not a table of text; the message is a clause that says why."""


@dataclass(frozen=True)
class DelimitedText:
    """A table of text.

    Attributes:
        header: The cells of its first row, without blanks around them; a column without a name has an empty one.
        separator: What separates the cells.
        rows: The line number and the cells of each row, without blanks around them. Rows without content are left
            out; a row may have fewer cells than the header, not more. Iterating raises `TextTableError` at a row that
            cannot be read.
    """

    header: tuple[str, ...]
    separator: str
    rows: Records


def read_delimited(content: bytes, source: str, *, foreign: bool = True) -> DelimitedText:
    """Read a table with a header.

    The encoding is the one that a byte order mark states; without one UTF-16, UTF-8 or, with a warning, Windows-1252.
    The separator is the one that a line such as `sep=;` states, or the one of tab, semicolon, bar and comma that
    divides the first rows evenly.

    Args:
        content: The file.
        source: Its name, for the warning.
        foreign: Whether people or other programs wrote it. In a file of this package, bytes that are not UTF-8 belong
            to names of files, and are kept as Python keeps them in names.

    Raises:
        TextTableError: It is not a table.
    """
    text = decode_text(content, source, foreign=foreign)
    stated = _STATED_SEPARATOR.fullmatch(text.partition("\n")[0].rstrip("\r"))
    if stated is not None:
        text = text.partition("\n")[2]
    separator = stated[1] if stated is not None else _separator(text)
    records = _records(text, separator, first_line=1 + (stated is not None))
    _, header = next(records, (0, []))
    return DelimitedText(
        header=tuple(cell.strip("\ufeff").strip() for cell in header),
        separator=separator,
        rows=(_fitted(line, cells, len(header), separator) for line, cells in records),
    )


def decode_text(content: bytes, source: str, *, foreign: bool = True) -> str:
    """Decode a text file; see `read_delimited` for the encodings and the arguments.

    Raises:
        TextTableError: It is binary, or ends within a character.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _decoded(content[len(mark) :], encoding)
    if b"\0" in content:
        return _decoded(content, _utf_16(content))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        if not foreign:
            return content.decode("utf-8", "surrogateescape")
        _log.warning(
            "%s is not in UTF-8 and is read as Windows-1252. If letters come out wrong, save it again as UTF-8.", source
        )
        return content.decode("cp1252", "surrogateescape")


def _decoded(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise TextTableError(f"it is not valid {encoding.upper()} ({error.reason} at byte {error.start})") from error


def _utf_16(content: bytes) -> str:
    """Which of both UTF-16 it is: of most characters in a table, the high byte is zero."""
    high_last, high_first = content[1::2].count(0), content[::2].count(0)
    if max(high_last, high_first) < len(content) // 8 or min(high_last, high_first) > len(content) // 32:
        raise TextTableError("it is a binary file, not text")
    return "utf-16-le" if high_last > high_first else "utf-16-be"


def _separator(text: str) -> str:
    """The separator that divides most of the first rows like the header, and into more than one cell."""

    def evenness(separator: str) -> tuple[bool, int, int]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        try:
            widths = [len(cells) for cells in islice(filter(any, reader), _ROWS_TO_JUDGE)]
        except csv.Error:
            return False, 0, 0
        width = widths[0] if widths else 0
        return width > 1, widths.count(width), width

    return max(_SEPARATORS, key=evenness)


def _records(text: str, separator: str, first_line: int) -> Records:
    """Rows with content, each with the number of its first line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        line = first_line + reader.line_num
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise TextTableError(f"line {line} is not a row of a CSV: {error}") from error
        if cells is None:
            return
        cells = [cell.strip() for cell in cells]
        if any(cells):
            yield line, cells


def _fitted(line: int, cells: list[str], width: int, separator: str) -> tuple[int, list[str]]:
    if any(cells[width:]):
        advice = " A number with a decimal comma needs quotes, or semicolons between the cells." * (separator == ",")
        raise TextTableError(
            f"line {line} has {len(cells)} cells, and the header {width}: {separator.join(cells)[:80]!r}.{advice}"
        )
    return line, cells[:width]
