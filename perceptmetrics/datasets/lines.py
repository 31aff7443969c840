"""Text files of labels with one image a line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from perceptmetrics.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_lines", "read_pairs"]


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty, without surrounding blanks.

    Raises:
        DatasetError: The file cannot be read, or holds no lines.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read as a list of images: {error}.") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise DatasetError(f"{path} holds no lines; expected one for each image.")
    return lines


def read_pairs(path: Path, expected: str) -> list[tuple[float, str]]:
    """Lines of a number and a name, in either order.

    Args:
        path: The file.
        expected: What a line holds, in words.

    Returns:
        Number and name of each line.

    Raises:
        DatasetError: A line is something else, or a name occurs twice.
    """
    pairs = []
    seen = set()
    for number, line in enumerate(read_lines(path), start=1):
        words = line.split()
        ratings = [(place, _finite(word)) for place, word in enumerate(words)]
        found = next(((place, rating) for place, rating in ratings if rating is not None), None)
        if len(words) != 2 or found is None:
            raise DatasetError(f"{path}, line {number}: expected {expected}, got {line[:80]!r}.")
        place, rating = found
        name = words[1 - place]
        if name in seen:
            raise DatasetError(f"{path}, line {number}: {name!r} occurs a second time.")
        seen.add(name)
        pairs.append((rating, name))
    return pairs


def _finite(word: str) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
