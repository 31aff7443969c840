"""Faults that can be measured: values that are no numbers or of another range, one colour, lost parts, repeated tiles.

Each detector returns a `Finding` or None. They look at all pixels, and allow for a codec that came after the fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from perceptmetrics.images.arrays import RANGE_TOLERANCE
from perceptmetrics.tripwire.statistics import grid_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Finding", "fault_of_numbers", "fault_of_pixels"]

_FEW_LEVELS = 8  # a single colour after a codec
_SAME = 4  # levels
_LOST = 0.15  # share of the height or width
_BACKGROUND = 0.02  # share of the other pixels
_EDGE = 8  # lines that a codec blurs
_ALIKE = 0.2  # difference between tiles, by that between other parts
_TILED = 120
_TILES = range(2, 9)


class Finding(NamedTuple):
    """A fault: its kind, what was measured, the limit, and both in words."""

    kind: str
    value: float
    threshold: float
    reason: str


def fault_of_numbers(values: NDArray[np.generic]) -> Finding | None:
    """Find NaN, infinity and values outside [0, 1] in floating-point numbers of any shape.

    Numbers of other types have no such fault.
    """
    if not np.issubdtype(values.dtype, np.floating) or values.size == 0:
        return None
    bad = float(1 - np.isfinite(values).mean())
    if bad > 0:
        return Finding("not_finite", bad, 0.0, f"{bad:.2%} of its values are NaN or infinite")
    low, high = float(values.min()), float(values.max())
    if low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE:
        return None
    beyond = max(high - 1, -low)
    return Finding("value_range", beyond, RANGE_TOLERANCE, f"its values lie in {low:.4g}..{high:.4g} instead of 0..1")


def fault_of_pixels(image: NDArray[np.uint8]) -> Finding | None:
    """Find the first fault that can be measured in an image (3, H, W)."""
    if 0 < image.max() <= 1:
        return Finding(
            "value_range", float(image.max()), 1.0, "all its levels are 0 or 1 of 255: 0..1 taken for 0..255"
        )
    return _constant(image) or _lost_part(image) or _repeated(image)


def _constant(image: NDArray[np.uint8]) -> Finding | None:
    planes = image.reshape(3, -1)
    spread = int((planes.max(1).astype(int) - planes.min(1)).max())
    if spread > _FEW_LEVELS:
        return None
    colour = tuple(int(value) for value in np.median(planes[:, :: max(1, planes.shape[1] // 4096)], axis=1))
    words = f"all pixels lie within {spread} levels of one colour, RGB {colour}"
    return Finding("constant", float(spread), float(_FEW_LEVELS), words)


def _lost_part(image: NDArray[np.uint8]) -> Finding | None:
    for turned, lines in ((image, "rows"), (image.transpose(0, 2, 1), "columns")):
        low, high = turned.min(2), turned.max(2)  # (3, lines)
        for step, where in ((1, "first"), (-1, "last")):
            ordered = turned[:, ::step]
            blank = _blank_lines(low[:, ::step], high[:, ::step])
            opposite = _blank_lines(low[:, ::-step], high[:, ::-step])
            count, total = blank, turned.shape[1]
            if _LOST * total <= count < total and opposite < count / 2 and _is_cut(ordered, count):
                words = f"its {where} {count} of {total} {lines} are one colour"
                return Finding("lost_part", count / total, _LOST, words)
            count = _repeated_lines(ordered)
            if _LOST * total <= count < total - _EDGE:
                words = f"its {where} {count} of {total} {lines} repeat one line"
                return Finding("lost_part", count / total, _LOST, words)
    return None


def _blank_lines(low: NDArray[np.uint8], high: NDArray[np.uint8]) -> int:
    """How many lines from the first on are the colour of the first; from the extremes of each line, (3, lines)."""
    near_low = np.abs(low.astype(np.int16) - low[:, :1]) <= _SAME
    near_high = np.abs(high.astype(np.int16) - low[:, :1]) <= _SAME
    return _leading((near_low & near_high).all(0))


def _leading(flags: NDArray[np.bool_]) -> int:
    return len(flags) if flags.all() else int(np.argmin(flags))


def _is_cut(ordered: NDArray[np.uint8], count: int) -> bool:
    """Whether an image ends along a line, and what follows is not drawn on the same ground: (3, lines, length)."""
    colour = np.median(ordered[:, 0], axis=1).astype(np.int16)[:, None, None]
    after = min(count + _EDGE, ordered.shape[1] - 1)
    border = np.abs(ordered[:, after : after + 1] - colour).max(0) > _SAME
    rest = np.abs(grid_of(ordered[:, after:]) - colour).max(0) <= _SAME
    return bool(border.mean() > 0.8 and rest.mean() < _BACKGROUND)


def _repeated_lines(ordered: NDArray[np.uint8]) -> int:
    """How many lines from the first on are equal, if a line is too lively to be drawn: (3, lines, length)."""
    first = ordered[:, :1].astype(np.int16)
    lively = (np.abs(np.diff(first[:, 0], axis=1)).max(0) > _SAME).mean()
    if lively < 0.1:
        return 0
    near = _leading(np.abs(ordered[:, :, ::7] - first[:, :, ::7]).mean((0, 2)) <= _SAME / 2)
    return near if near > 1 else 0


def _repeated(image: NDArray[np.uint8]) -> Finding | None:
    for count in _TILES:
        size = _TILED // count * count
        grid = grid_of(image, size).astype(np.int16)
        if min(grid.shape[1:]) < size:
            return None
        for axis, lines in ((1, "rows"), (2, "columns")):
            tiles = np.moveaxis(grid, axis, 0).reshape(count, size // count, 3, -1)
            apart = max(float(np.abs(tiles[0] - tile).mean()) for tile in tiles[1:])
            shifted = (np.roll(tiles[0], size // count // part, 0) for part in (2, 3))
            typical = min(float(np.abs(tiles[0] - other).mean()) for other in shifted)
            if typical >= _FEW_LEVELS and apart <= _ALIKE * typical:
                words = (
                    f"{count} tiles of its {lines} differ by {apart / typical:.0%} of what parts of a tile differ by"
                )
                return Finding("repeated", apart / typical, _ALIKE, words)
    return None
