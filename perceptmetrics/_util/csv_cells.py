r"""Texts in the CSV files that this package writes, so that no program takes them for anything else.

Spreadsheets compute a cell that begins with `=`, `+`, `-` or `@`; terminals obey escape characters. Such a text is
marked by an apostrophe before it, with `\` for its escapes: `=1+1.png` is written `'=1+1.png`, and a name with a line
break `'one\ntwo.png`. `unmarked` restores the text; no two texts are written alike.
"""

from __future__ import annotations

import csv
import io
import math
import re
from numbers import Integral, Real
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DECIMALS", "csv_line", "marked", "unmarked"]

DECIMALS = 6

_FORMULA = "=+\\-@\uff1d\uff0b\uff0d\uff20"  # with the full-width forms, which spreadsheets in East Asia compute too
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_TO_MARK = re.compile(f"'*[{_FORMULA}]")
_MARKED = re.compile(rf"'+[{_FORMULA}]|'.*\\", re.DOTALL)
_PLAIN = re.compile("[A-Za-z0-9/][A-Za-z0-9_./ -]*")  # what most names are, and no rule below concerns
_TO_QUOTE = re.compile('[,";\r\n]')
_ESCAPE = re.compile(r"\\(\\|x[0-9a-f]{2}|u[0-9a-f]{4}|[nrt])")
_LETTERS = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\\": r"\\"}
_CHARACTERS = {escape[1:]: character for character, escape in _LETTERS.items()}


def csv_line(cells: Sequence[object]) -> str:
    """One line of a CSV with its line break.

    Args:
        cells: Numbers, texts, and anything that is written like its `str`. Fractions have six decimals, texts are
            `marked`, None and NaN are empty cells.
    """
    texts = [_cell(cell) for cell in cells]
    if len(texts) > 1 and not any(map(_TO_QUOTE.search, texts)):
        return ",".join(texts) + "\n"
    buffer = io.StringIO()
    # All that the line terminator contains is quoted: a semicolon too, at which some spreadsheets would divide a cell.
    csv.writer(buffer, lineterminator=";\n").writerow(texts)
    return buffer.getvalue().removesuffix(";\n") + "\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if type(value) is float:  # at once: a table of embeddings has millions
        return "" if math.isnan(value) else f"{value:.{DECIMALS}f}"
    if isinstance(value, Integral):
        return str(value)
    if isinstance(value, Real):
        return "" if math.isnan(value) else f"{float(value):.{DECIMALS}f}"
    return marked(str(value))


def marked(text: str) -> str:
    r"""The text as a cell of a CSV.

    Examples:
        >>> print(marked("=1+1.png"), marked("photo.png"), marked("one\ntwo.png"))
        '=1+1.png photo.png 'one\ntwo.png
    """
    if _PLAIN.fullmatch(text) or not (_TO_MARK.match(text) or _UNSAFE.search(text) or _MARKED.match(text)):
        return text
    return "'" + _UNSAFE.sub(lambda found: _escape(found[0]), text.replace("\\", r"\\"))


def unmarked(cell: str) -> str:
    """The text that `marked` made this cell of."""
    if not _MARKED.match(cell):
        return cell
    return _ESCAPE.sub(lambda found: _CHARACTERS.get(found[1]) or chr(int(found[1][1:], 16)), cell[1:])


def _escape(character: str) -> str:
    return _LETTERS.get(character) or (
        f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"
    )
