"""How far ratings of new images lie from a metric's scores: an interval for each prediction.

Split conformal prediction (Papadopoulos et al., "Inductive Confidence Machines for Regression", ECML 2002; Lei et al.,
JASA 113, 2018): a fixed fraction of the images that were not trained on lie within a distance from their scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from perceptmetrics._util.text import shown
from perceptmetrics.spec.checks import require

__all__ = ["FEWEST_IMAGES", "IntervalSpec"]

FEWEST_IMAGES = 30
"""Held-out images below which there is no interval. What one of .9 truly covers varies by about .05 with so many."""

_MOST_IMAGES = 10**9


@dataclass(frozen=True, kw_only=True)
class IntervalSpec:
    """The interval around each score.

    Attributes:
        coverage: Fraction of new images, of the kind that was trained on, whose rating the interval covers; in (0, 1).
        half_widths: Half the width of the interval of each output, in the unit of the score.
        images: Number of held-out images (or groups of images) that the widths were found on.
    """

    coverage: float
    half_widths: tuple[float, ...]
    images: int

    def __post_init__(self) -> None:
        require(0 < self.coverage < 1, f"IntervalSpec.coverage must be between 0 and 1, got {shown(self.coverage)}.")
        require(
            len(self.half_widths) > 0 and all(math.isfinite(width) and width >= 0 for width in self.half_widths),
            f"IntervalSpec.half_widths must be finite numbers, 0 or more, got {shown(self.half_widths)}.",
        )
        require(
            FEWEST_IMAGES <= self.images <= _MOST_IMAGES,
            f"IntervalSpec.images must be {FEWEST_IMAGES} or more: fewer say too little, got {shown(self.images)}.",
        )
