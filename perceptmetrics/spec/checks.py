"""Checks that every part of a specification shares.

A specification may come from a stranger. So every text in it that names a file, a repository or a package is checked
for what it can reach, and every number by which memory is allocated has a limit, far above what any method needs.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import TYPE_CHECKING

from perceptmetrics._util.text import shown
from perceptmetrics.errors import InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "require",
    "require_at_most",
    "require_file_name",
    "require_finite",
    "require_pixels",
    "require_rgb",
    "require_sha256",
    "require_text",
    "require_widths",
]

_SHA256 = re.compile(r"[0-9a-f]{64}")

_LONGEST_NAME = 1_000  # characters of a path
_MOST_LAYERS = 64
_MOST_WEIGHTS = 2**26  # of a multilayer perceptron: 256 MiB
_MOST_PIXELS = 10**8  # that the views of one kind show of an image: as many as a photograph of 100 megapixels has


def require(condition: bool, message: str) -> None:
    """Raise `InvalidSpecError` with a message unless a condition holds."""
    if not condition:
        raise InvalidSpecError(message)


def require_text(owner: str, **fields: str) -> None:
    """Require texts that are stated, by their names in `owner`."""
    for name, value in fields.items():
        require(isinstance(value, str) and bool(value.strip()), f"{owner}.{name} must be stated, got {shown(value)}.")


def require_file_name(owner: str, filename: str) -> None:
    """Require a path that stays below the folder that it is looked up in, on every system."""
    parts = filename.split("/")
    require(
        len(filename) <= _LONGEST_NAME
        and filename.isprintable()
        and not set(filename) & set("\\:")
        and not {"", ".", ".."} & set(parts),
        f"{owner}.filename must be a relative path with forward slashes and without '..', got {shown(filename)}.",
    )


def require_sha256(owner: str, value: str | None) -> None:
    """Require a well-formed hash, or None."""
    require(
        value is None or _SHA256.fullmatch(value) is not None,
        f"{owner}.sha256 must be 64 lower-case hexadecimal digits, or None when it is unknown; got {shown(value)}.",
    )


def require_rgb(owner: str, **fields: tuple[float, ...]) -> None:
    """Require one finite number per colour channel."""
    for name, value in fields.items():
        require(len(value) == 3, f"{owner}.{name} needs three numbers (R, G, B), got {shown(value)}.")
        require_finite(owner, **{name: sum(value)})


def require_finite(owner: str, **fields: float | None) -> None:
    """Require numbers that are finite, or None."""
    for name, value in fields.items():
        require(value is None or math.isfinite(value), f"{owner}.{name} must be finite, got {shown(value)}.")


def require_at_most(owner: str, most: int, **fields: int | None) -> None:
    """Require numbers that are no larger than `most`, or None."""
    for name, value in fields.items():
        require(value is None or value <= most, f"{owner}.{name} must be at most {most:,}, got {shown(value)}.")


def require_pixels(owner: str, height: int, width: int, count: int = 1) -> None:
    """Require views of an image whose pixels fit into memory."""
    require(
        height * width * count <= _MOST_PIXELS,
        f"{owner} must show at most {_MOST_PIXELS:,} pixels of an image, got {shown(count)} x {shown(height)} x "
        f"{shown(width)}.",
    )


def require_widths(owner: str, widths: Sequence[int]) -> None:
    """Require the sizes of a multilayer perceptron: positive, and no more weights than fit into memory."""
    require(
        len(widths) >= 2 and all(width > 0 for width in widths),
        f"{owner}.widths needs at least an input and an output size, all positive; got {shown(widths)}.",
    )
    require(
        len(widths) <= _MOST_LAYERS and sum(a * b for a, b in itertools.pairwise(widths)) <= _MOST_WEIGHTS,
        f"{owner}.widths may state at most {_MOST_LAYERS} sizes and {_MOST_WEIGHTS:,} weights, got {len(widths)} "
        f"sizes: {shown(widths)}.",
    )
