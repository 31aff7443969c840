"""What a degradation does to seven attributes of a photograph.

Each kind of degradation worsens one attribute by a known amount. It leaves most others as they are, and changes some by
an amount that depends on the photograph: enlarging removes noise, over-exposure takes colour away. The names are those
of CLIP-IQA (AAAI 2023) where it has the attribute, and 1 is the end that its positive prompts describe.

The amounts are logarithmic in the strength, because a photograph has an unknown amount of its own: what a further blur,
noise or loss of colour adds to it is about the same step on such a scale.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from perceptmetrics.datasets.degradations import Degradation

__all__ = ["ATTRIBUTES", "OWN_ATTRIBUTE", "attribute_ratings"]

ATTRIBUTES = ("sharpness", "noisiness", "compression", "overexposure", "underexposure", "contrast", "colorfulness")

OWN_ATTRIBUTE = {
    "blur": "sharpness",
    "scale": "sharpness",
    "noise": "noisiness",
    "jpeg": "compression",
    "over": "overexposure",
    "under": "underexposure",
    "contrast": "contrast",
    "colour": "colorfulness",
}
"""The attribute that a kind of degradation worsens."""
_UNKNOWN = {
    "blur": ("noisiness",),
    "scale": ("noisiness",),
    "noise": (),
    "jpeg": ("sharpness", "noisiness"),
    "over": ("underexposure", "contrast", "colorfulness"),
    "under": ("overexposure", "contrast", "colorfulness"),
    "contrast": ("overexposure", "underexposure", "colorfulness"),
    "colour": (),
}
_HALF_PIXEL, _MOST_BLUR = 0.5, 7.0  # standard deviations in pixels
_LEAST_NOISE, _MOST_NOISE = 0.01, 0.25  # standard deviations of pixels in [0, 1]
_COARSER, _WORST_QUALITY = 0.15, 5.0  # of 100 / quality - 1; JPEG quality
_MOST_STOPS = 2.6
_SOFTEST = 0.05  # fraction of contrast or colour below which less is hardly seen
_LEAST_LEFT = {"contrast": 0.1, "colour": 0.0}  # fractions


def attribute_ratings(steps: Sequence[Degradation | None]) -> NDArray[np.float64]:
    """The attributes of the rungs of a ladder, relative to each other.

    Args:
        steps: The degradation of each of N rungs; None for the undegraded one.

    Returns:
        Shape (N, 7), in the order of `ATTRIBUTES`: 1 for an attribute that is as in the undegraded photograph, down to
        0; NaN where it changes by an unknown amount.
    """
    ratings = np.ones((len(steps), len(ATTRIBUTES)))
    unknown = {name for step in steps if step is not None for name in _UNKNOWN[step.kind]}
    for row, step in zip(ratings, steps, strict=True):
        if step is not None:
            row[ATTRIBUTES.index(OWN_ATTRIBUTE[step.kind])] = 1 - _amount(step.kind, step.strength)
    ratings[:, [name in unknown for name in ATTRIBUTES]] = np.nan
    return ratings


def _amount(kind: str, strength: float) -> float:
    """How much of the range of its attribute a degradation takes away, from 0 to about 1."""
    if kind == "scale":  # the blur that takes away as much detail
        kind, strength = "blur", _HALF_PIXEL * math.sqrt(1 / strength**2 - 1)
    if kind == "blur":
        return math.log1p(strength / _HALF_PIXEL) / math.log1p(_MOST_BLUR / _HALF_PIXEL)
    if kind == "noise":
        return math.log1p(strength / _LEAST_NOISE) / math.log1p(_MOST_NOISE / _LEAST_NOISE)
    if kind == "jpeg":
        coarseness, most = ((100 / quality - 1) / _COARSER for quality in (strength, _WORST_QUALITY))
        return math.log1p(coarseness) / math.log1p(most)
    if kind in ("over", "under"):
        return strength / _MOST_STOPS
    left, least = (math.log((fraction + _SOFTEST) / (1 + _SOFTEST)) for fraction in (1 - strength, _LEAST_LEFT[kind]))
    return left / least
