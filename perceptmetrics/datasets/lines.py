"""Read text files of labels with one image per line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from perceptmetrics._util.delimited import TextTableError, decode_text
from perceptmetrics.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_lines", "read_pairs"]


def read_lines(path: Path) -> list[str]:
    """Read the non-empty lines of a text file, without surrounding blanks.

    Raises:
        DatasetError: The file cannot be read or is empty.
    """
    try:
        text = decode_text(path.read_bytes(), str(path))
    except (OSError, TextTableError) as error:
        raise DatasetError(f"{path} cannot be read as a list of images: {error}.") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise DatasetError(f"{path} is empty; expected one line per image.")
    return lines


def read_pairs(path: Path, expected: str) -> list[tuple[float, str]]:
    """Read lines of a number and a name, in either order.

    Args:
        path: The file.
        expected: Description of a line, for error messages.

    Returns:
        Number and name of each line.

    Raises:
        DatasetError: A line has another form, or a name occurs twice.
    """
    pairs = []
    seen = set()
    for number, line in enumerate(read_lines(path), start=1):
        words = line.split()
        ratings = [(position, _finite(word)) for position, word in enumerate(words)]
        found = next(((position, rating) for position, rating in ratings if rating is not None), None)
        if len(words) != 2 or found is None:
            raise DatasetError(f"{path}, line {number}: expected {expected}, got {line[:80]!r}.")
        position, rating = found
        name = words[1 - position]
        if name in seen:
            raise DatasetError(f"{path}, line {number}: {name!r} occurs twice.")
        seen.add(name)
        pairs.append((rating, name))
    return pairs


def _finite(word: str) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
