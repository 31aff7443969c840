"""Change one attribute of a photograph by a known amount."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

from perceptmetrics.errors import InvalidOptionError, nearest_names
from perceptmetrics.images.examples import blurred, noisy

__all__ = ["ADJUSTMENTS", "Adjustment", "adjustment"]


@dataclass(frozen=True, kw_only=True)
class Adjustment:
    """How one attribute is changed.

    Attributes:
        attribute: What changes.
        prompt: The attribute of CLIP-IQA that measures it; see `prompts.ATTRIBUTES`.
        unit: Unit of the amounts.
        first: Amount at the first step.
        last: Amount at the last step. The attribute increases from the first step to the last.
        apply: Returns the changed image.
    """

    attribute: str
    prompt: str
    unit: str
    first: float
    last: float
    apply: Callable[[Image.Image, float], Image.Image]

    def amounts(self, steps: int) -> tuple[float, ...]:
        """Equally spaced amounts.

        Args:
            steps: Number of steps, at least 3: fewer cannot be correlated.

        Raises:
            InvalidOptionError: `steps` is less than 3.
        """
        if steps < 3:
            raise InvalidOptionError(f"A ladder needs at least 3 steps for a correlation, got {steps}.")
        return tuple(round(float(amount), 4) for amount in np.linspace(self.first, self.last, steps))


def _enhance(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Callable[[Image.Image, float], Image.Image]:
    return lambda image, factor: kind(image).enhance(factor)


ADJUSTMENTS: dict[str, Adjustment] = {
    adjustment.attribute: adjustment
    for adjustment in (
        Adjustment(
            attribute="brightness",
            prompt="brightness",
            unit="factor of the pixel values",
            first=0.2,
            last=1.4,
            apply=_enhance(ImageEnhance.Brightness),
        ),
        Adjustment(
            attribute="noise",
            prompt="noisiness",
            unit="standard deviation of the noise (0 to 255)",
            first=0.0,
            last=60.0,
            apply=lambda image, amount: noisy(image, amount),
        ),
        Adjustment(
            attribute="colour",
            prompt="colorfulness",
            unit="factor of the saturation",
            first=0.0,
            last=1.8,
            apply=_enhance(ImageEnhance.Color),
        ),
        Adjustment(
            attribute="contrast",
            prompt="contrast",
            unit="factor of the contrast",
            first=0.2,
            last=1.4,
            apply=_enhance(ImageEnhance.Contrast),
        ),
        Adjustment(
            attribute="sharpness",
            prompt="sharpness",
            unit="standard deviation of the blur (pixels)",
            first=6.0,
            last=0.0,
            apply=lambda image, amount: blurred(image, amount),
        ),
    )
}
_SYNONYMS = {"color": "colour", "colorfulness": "colour", "noisiness": "noise", "blur": "sharpness"}


def adjustment(attribute: str) -> Adjustment:
    """Look up the adjustment of an attribute.

    Args:
        attribute: `"brightness"`, `"noise"`, `"colour"`, `"contrast"` or `"sharpness"`.

    Raises:
        InvalidOptionError: The attribute is unknown.
    """
    name = _SYNONYMS.get(attribute.lower(), attribute.lower())
    if name not in ADJUSTMENTS:
        raise InvalidOptionError(f"No attribute is named {attribute!r}. {nearest_names(name, ADJUSTMENTS)}")
    return ADJUSTMENTS[name]
