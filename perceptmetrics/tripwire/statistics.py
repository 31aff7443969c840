"""Statistics of the pixels of an image that faults of programs change and photographs share.

Local statistics are taken at native size in the middle of the image, global ones on a grid of its pixels, so that their
cost does not grow with the image. Numbers that grow without bound are logarithms. Knows neither kinds nor thresholds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["as_bytes", "grid_of", "pixel_statistics"]

_GRID = 192
_COLOURS = 96
_TILED = 120  # a multiple of 2, 3, 4 and 5
_MIDDLE = 256
_LEAST = 64
_LINES = 64
_LONGEST = 1024
_SPECTRUM = 96
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_LITTLE = np.float32(1e-3)


def as_bytes(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Turn pixels (3, H, W), uint8 or float in [0, 1], into uint8 of the same shape."""
    if pixels.dtype == np.uint8:
        return pixels  # type: ignore[return-value]
    return np.clip(np.rint(pixels.astype(np.float32) * 255), 0, 255).astype(np.uint8)


def grid_of(image: NDArray[np.uint8], size: int = _GRID) -> NDArray[np.uint8]:
    """Pixels of an image (3, H, W) on an even grid of at most `size` rows and columns."""
    rows, columns = (_even(length, size) for length in image.shape[1:])
    return np.ascontiguousarray(image[:, rows[:, None], columns])


def _even(length: int, size: int) -> NDArray[np.intp]:
    """Indices at the middles of `size` equal parts of a length: parts of an image that repeat are met alike."""
    count = min(length, size)
    return ((np.arange(count) + 0.5) * length / count).astype(np.intp)


def pixel_statistics(image: NDArray[np.uint8]) -> Floats:
    """Describe the pixels of an image.

    Args:
        image: Shape (3, H, W), uint8.

    Returns:
        The statistics, one vector of fixed length, all finite.
    """
    middle = _middle(image)
    luma = np.tensordot(_LUMA, middle.astype(np.float32), 1)
    red_less, blue_less = middle[0].astype(np.float32) - luma, middle[2].astype(np.float32) - luma
    parts = [
        _levels(grid_of(image)),
        _colours(grid_of(image, _COLOURS)),
        _neighbours(luma, middle),
        _spectrum(luma),
        *(_lines(_whole_lines(image, axis)) for axis in (1, 2)),
        _blocks(luma),
        _blocks(blue_less + red_less),
        _runs(image),
    ]
    return np.nan_to_num(np.concatenate(parts), nan=0.0, posinf=50.0, neginf=-50.0).astype(np.float32)


def _middle(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle of an image, at least 64 pixels a side (edges are repeated where it has fewer)."""
    top, left = (max(0, (length - _MIDDLE) // 2 // 16 * 16) for length in image.shape[1:])
    part = image[:, top : top + _MIDDLE, left : left + _MIDDLE]
    missing = [(0, max(0, _LEAST - length)) for length in part.shape[1:]]
    return np.pad(part, [(0, 0), *missing], mode="edge") if any(more for _, more in missing) else part


def _whole_lines(image: NDArray[np.uint8], axis: int) -> Floats:
    """Luma of some rows (axis 1) or columns (axis 2) over the whole length of an image: shape (lines, length)."""
    lines, length = image.shape[axis], image.shape[3 - axis]
    chosen = _even(lines, _LINES)
    start = max(0, (length - _LONGEST) // 2 // 16 * 16)
    part = np.moveaxis(image, axis, 1)[:, chosen, start : start + _LONGEST]
    luma = np.tensordot(_LUMA, part.astype(np.float32), 1)
    return np.pad(luma, [(0, 0), (0, max(0, _LEAST - luma.shape[1]))], mode="edge")


def _log(values: object) -> Floats:
    return np.log(np.maximum(np.asarray(values, dtype=np.float32), 0) + _LITTLE)


def _levels(grid: NDArray[np.uint8]) -> Floats:
    """Where the levels of luma and of each channel lie, how many of them are used, and how unevenly."""
    luma = np.tensordot(_LUMA, grid.astype(np.float32), 1).round().astype(np.uint8)
    found: list[float] = []
    for plane in (luma, *grid):
        counts = np.bincount(plane.ravel(), minlength=256) / plane.size
        total = np.cumsum(counts)
        low, *quartiles, high = (int(np.searchsorted(total, part)) for part in (0.01, 0.25, 0.5, 0.75, 0.99))
        within = counts[low : high + 1]
        used = within > 0
        steps = np.abs(np.diff(within, prepend=within[0])).sum() / max(within.sum(), 1e-6)
        entropy = -(counts[counts > 0] * np.log2(counts[counts > 0])).sum()
        found += [*(value / 64 for value in (low, *quartiles, high)), (high - low) / 64, used.mean(), steps, entropy]
        found += [*_log([used.sum(), counts[0], counts[255], np.sort(counts)[-4:].sum(), counts[1:8].sum()])]
        found += [float(_log(np.sort(within)[-max(1, len(within) // 8) :].sum())), float(_log(counts[248:255].sum()))]
    return np.asarray(found, dtype=np.float32)


def _colours(grid: NDArray[np.uint8]) -> Floats:
    """How channels differ: overall, in thirds of the height and of the brightness, and how they go together."""
    colour = grid.astype(np.float32) / np.float32(255)
    red, green, blue = colour
    luma = np.tensordot(_LUMA, colour, 1)
    spread: Floats = colour.max(0) - colour.min(0)
    found = [spread.mean() * 4, spread.std() * 4, float(_log((spread > 0.9).mean()))]
    order = np.quantile(luma, [1 / 3, 2 / 3])
    height = np.linspace(0, 3, luma.shape[0], endpoint=False).astype(int)[:, None]
    masks = [height == part for part in range(3)]
    masks = [np.broadcast_to(mask, luma.shape) for mask in masks]
    masks += [luma <= order[0], (luma > order[0]) & (luma <= order[1]), luma > order[1]]
    for difference in (red - blue, red - green, blue - green):
        found += [difference.mean() * 4, difference.std() * 4]
        found += [4 * difference[mask].mean() if mask.any() else 0.0 for mask in masks]
        found += [4 * float(part) for part in np.quantile(difference, [0.02, 0.25, 0.75, 0.98])]
    centred = colour.reshape(3, -1) - colour.reshape(3, -1).mean(1, keepdims=True)
    norms = np.sqrt((centred**2).sum(1)) + _LITTLE
    both = centred @ centred.T / np.outer(norms, norms)
    hue = _hues(colour, spread)
    return np.asarray([*found, both[0, 1], both[1, 2], both[0, 2], *hue], dtype=np.float32)


def _hues(colour: Floats, spread: Floats) -> Floats:
    """How much of the colour lies in each of twelve hues, weighted by how colourful it is."""
    red, green, blue = colour
    angle = np.arctan2(np.float32(3**0.5) * (green - blue), 2 * red - green - blue)
    index = np.minimum(((angle / (2 * np.pi) + 0.5) * 12).astype(int), 11)
    weights = np.bincount(index.ravel(), weights=spread.ravel(), minlength=12)
    return np.asarray(3 * np.sqrt(weights / spread.size), dtype=np.float32)


def _neighbours(luma: Floats, middle: NDArray[np.uint8]) -> Floats:
    """Steps between neighbours, and patterns that alternate."""
    across, down = np.diff(luma, axis=1), np.diff(luma, axis=0)
    corner = np.diff(across, axis=0)
    variance = luma.var() + _LITTLE
    found: list[float] = []
    for steps in (across, down, corner):
        size = np.abs(steps)
        found += [*_log([size.mean(), np.median(size), size.std(), np.quantile(size[::3, ::3], 0.99)])]
        found += [float(_log((size < 0.5).mean())), float((steps**2).mean() / variance)]
    found += [float(_log(variance))]
    for distance in (2, 4, 8, 16):
        lag = [
            ((luma[distance:] - luma[:-distance]) ** 2).mean(),
            ((luma[:, distance:] - luma[:, :-distance]) ** 2).mean(),
        ]
        found += [float(value / variance) for value in lag]
    cells = _cells(corner, 8)
    signs = (-1.0) ** np.add.outer(np.arange(8), np.arange(8)).astype(np.float32)
    coherent = np.abs((cells * signs[:, None]).mean((1, 3)))
    found += [*_log([coherent.mean(), np.median(coherent), coherent.mean() / (np.abs(corner).mean() + _LITTLE)])]
    equal = [(np.diff(middle.astype(np.int16), axis=axis) == 0).all(0).mean() for axis in (1, 2)]
    return np.asarray([*found, *_log(equal)], dtype=np.float32)


def _cells(plane: Floats, size: int) -> Floats:
    """Whole cells of a plane: shape (rows, size, columns, size)."""
    rows, columns = (length // size for length in plane.shape)
    return plane[: rows * size, : columns * size].reshape(rows, size, columns, size)


def _spectrum(luma: Floats) -> Floats:
    """The mean power spectrum of windows: its fall with frequency, and how far it has peaks."""
    size = min(_SPECTRUM, *(length // 2 * 2 for length in luma.shape))
    window = np.outer(np.hanning(size), np.hanning(size)).astype(np.float32)
    offsets = [sorted({0, (length - size) // 2, length - size}) for length in luma.shape]
    patches = [luma[top : top + size, left : left + size] for top in offsets[0] for left in offsets[1]]
    stack = np.stack([(patch - patch.mean()) * window for patch in patches])
    power = (np.abs(np.fft.rfft2(stack)) ** 2).mean(0).astype(np.float32) + _LITTLE
    rows = np.minimum(np.arange(size), size - np.arange(size))
    radius = np.hypot(rows[:, None], np.arange(size // 2 + 1)[None]) / (size / 2)
    ring = np.minimum((radius * 12).astype(int), 13)
    logarithm = np.log(power)
    means = np.bincount(ring.ravel(), logarithm.ravel(), 14) / np.maximum(np.bincount(ring.ravel(), minlength=14), 1)
    excess = logarithm - means[ring]
    top = np.sort(excess[ring > 0].ravel())[-24:]
    per_ring = [excess[ring == index].max() for index in range(1, 14)]
    axes = [excess[0, 4:].mean(), excess[4:, 0].mean(), excess[size // 2].mean(), excess[:, -1].mean()]
    slope = np.concatenate([[means[1]], np.diff(means[1:])])
    return np.asarray([*slope, top[-1], top[-4], top[0], *per_ring, *axes], dtype=np.float32)


def _lines(plane: Floats) -> Floats:
    """Lines along which an image steps more than on both sides of them, as at the seams of tiles; periodic stripes."""
    steps = np.abs(np.diff(plane, axis=1))
    inside = steps[:, 1:-1]
    around = np.maximum(steps[:, :-2], steps[:, 2:])
    share = (inside > around + 1).mean(0)
    mean = steps.mean(0)
    ratio = mean[1:-1] / (0.5 * (mean[:-2] + mean[2:]) + 0.25)
    signed = np.abs(np.diff(plane.mean(0)))
    jump = signed[1:-1] / (0.5 * (signed[:-2] + signed[2:]) + 0.5)
    found: list[float] = []
    for profile in (share, _log(ratio), _log(jump)):
        top = np.sort(profile)
        found += [float(top[-1]), float(top[-min(3, len(top))]), float(top[len(top) // 2]), float(top[0])]
        for period in (8, 16, 32):
            folded = [profile[phase::period].mean() for phase in range(min(period, len(profile)))]
            found.append(float(max(folded) - np.mean(folded)))
    lines = plane.mean(0)
    lines = lines - np.convolve(np.pad(lines, 8, mode="edge"), np.full(17, 1 / 17, dtype=np.float32), "valid")
    power = np.abs(np.fft.rfft(lines * np.hanning(len(lines)))) ** 2 / len(lines) + _LITTLE
    found += [*_log([lines.std(), power.max() / np.median(power), lines.std() / (plane.std() + 1)])]
    return np.asarray(found, dtype=np.float32)


def _blocks(plane: Floats) -> Floats:
    """Cells of 8 and 16 pixels: steps at their edges against steps inside, and cells that are flat or stand out."""
    found: list[float] = []
    for size in (8, 16):
        cells = _cells(plane, size)
        means, flat = cells.mean((1, 3)), cells.std((1, 3))
        step = np.abs(np.diff(plane, axis=1))[:, size - 1 :: size].mean(), np.abs(np.diff(plane, axis=1)).mean()
        found += [float(_log(step[0])) - float(_log(step[1]))]
        stands = np.abs(np.diff(means, axis=1)) / (0.5 * (flat[:, 1:] + flat[:, :-1]) + 1)
        found += [*_log([np.quantile(stands, 0.5), np.quantile(stands, 0.95), stands.max()])]
        found += [*_log([(flat < 0.5).mean(), np.quantile(flat, 0.1), np.median(flat), np.quantile(flat, 0.99)])]
        rows = np.abs(np.diff(means, n=2, axis=0)).max(1)
        found += [float(_log(rows.max() / (np.median(rows) + 1)))]
    return np.asarray(found, dtype=np.float32)


def _runs(image: NDArray[np.uint8]) -> Floats:
    """Lines that repeat their neighbour, lines of one colour, and parts of the image that repeat others."""
    small = grid_of(image, _TILED).astype(np.float32)
    found: list[float] = []
    for axis in (1, 2):
        same = np.abs(np.diff(small, axis=axis)).max(0).max(axis=2 - axis)
        flat = np.ptp(small, axis=3 - axis).max(0)
        found += [float((same <= 1).mean()), float((flat <= 2).mean()), float(_log(np.median(flat)))]
        means = small.mean(3 - axis).T
        change = np.abs(np.diff(means, axis=0)).max(1)
        found += [*_log([change.max(), change.max() / (np.median(change) + 0.5)])]
        for parts in (2, 3, 4, 5):
            tile = small.shape[axis] // parts
            cut = np.moveaxis(small, axis, 0)
            pairs = [np.abs(cut[:tile] - cut[n * tile : (n + 1) * tile]).mean() for n in range(1, parts)]
            mirrored = np.abs(cut[:tile] - cut[2 * tile - 1 : tile - 1 : -1]).mean()
            spread = small.std() + 1
            found += [*_log([min(pairs) / spread, max(pairs) / spread, mirrored / spread])]
    return np.asarray(found, dtype=np.float32)
