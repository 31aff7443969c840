"""Numbers as spreadsheets write them: decimal points and commas, thousands separators."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DecimalMark", "is_percentage", "looks_like", "read_number", "read_numbers"]

DecimalMark = Literal[".", ","]
_SPACES = " \u00a0\u2009\u202f'\u2019"


def _form(decimal: str, thousands: str) -> re.Pattern[str]:
    grouped = rf"[1-9][0-9]{{0,2}}(?P<group>[{thousands}{_SPACES}])[0-9]{{3}}(?:(?P=group)[0-9]{{3}})*"
    return re.compile(rf"[+-]?(?:(?:{grouped}|[0-9]+){decimal}?[0-9]*|{decimal}[0-9]+)(?:[eE][+-]?[0-9]+)?")


_FORMS: dict[DecimalMark, re.Pattern[str]] = {".": _form(r"\.", ","), ",": _form(",", ".")}
_TO_POINT = {
    ".": str.maketrans("", "", f",{_SPACES}"),
    ",": str.maketrans(",", ".", f".{_SPACES}"),
}
_PERCENTAGE = re.compile(rf"[+-]?[0-9][0-9.,{_SPACES}]*%")


def read_number(cell: str, mark: DecimalMark) -> float | None:
    """Read a number; NaN for an empty cell and for `nan`.

    Args:
        cell: Such as `3.5`, `1,234.5`, `1 234.5` or `1e-3`; with a decimal comma `3,5`, `1.234,5` or `1 234,5`.
        mark: What stands before its decimals.

    Returns:
        The number; None if it is not a finite one.
    """
    if not cell or cell.lower() == "nan":
        return math.nan
    text = cell.replace("\u2212", "-")
    if not _FORMS[mark].fullmatch(text):
        return None
    number = float(text.translate(_TO_POINT[mark]))
    return number if math.isfinite(number) else None


def read_numbers(cells: Iterable[str], mark: DecimalMark) -> list[float] | None:
    """Read a column of numbers; None if one of its cells is not a number with this decimal mark."""
    numbers = []
    for cell in cells:
        number = read_number(cell, mark)
        if number is None:
            return None
        numbers.append(number)
    return numbers


def looks_like(cell: str) -> bool:
    """Whether a cell is a number with either decimal mark."""
    return read_number(cell, ".") is not None or read_number(cell, ",") is not None


def is_percentage(cell: str) -> bool:
    """Whether a cell is a number with a percent sign."""
    return _PERCENTAGE.fullmatch(cell) is not None
