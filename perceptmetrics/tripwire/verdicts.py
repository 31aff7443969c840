"""What the tripwire says of an image, and the kinds of faults that it knows. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS", "Verdict"]

KINDS: dict[str, str] = {
    "unreadable": "cannot be read as an image",
    "not_finite": "NaN or infinite values",
    "value_range": "values of another range: 0..1 taken for 0..255 or back, clipped, wrapped around, or inverted",
    "constant": "one colour",
    "lost_part": "a part is one colour, or repeats its last line",
    "repeated": "the same tile again and again",
    "noise": "noise",
    "blocks": "blocks of colour",
    "checkerboard": "a checkerboard",
    "banding": "stripes, or few levels",
    "seams": "seams between tiles",
    "contrast": "extreme contrast",
    "washed_out": "hardly any contrast",
    "channels": "swapped or lost colour channels",
    "gamma": "gamma applied twice, or undone twice",
    "codec": "damage by a codec",
    "layout": "rows, columns or channels read in another order",
}
"""Kinds of faults, and what an image with such a fault shows."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the tripwire says of an image.

    Attributes:
        name: Path of the image as given, or `image` and its index.
        broken: Whether it is broken.
        kind: Kind of its fault, one of `KINDS`; None for a healthy image.
        value: What was measured: of a kind that is measured exactly, the number that `reason` names; otherwise the
            log-odds that a photograph has this fault (of a healthy image, for the kind that comes nearest). NaN for an
            image that cannot be read.
        threshold: The limit that the value was compared with.
        reason: Both in words.
    """

    name: str
    broken: bool
    kind: str | None
    value: float
    threshold: float
    reason: str
