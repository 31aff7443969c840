"""The learned part of the tripwire: from features to log-odds of faults, and the limit of each.

The weights are the file `head.safetensors` beside this one; `python -m tests.benchmarks.tripwire train` writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["OUTPUTS", "WEIGHTS", "Head", "load_head"]

OUTPUTS = {
    "uniform_noise": "noise",
    "gaussian_noise": "noise",
    "noise_over": "noise",
    "blocks": "blocks",
    "mosaic": "blocks",
    "checkerboard": "checkerboard",
    "checkerboard_over": "checkerboard",
    "constant": "constant",
    "lost_part": "lost_part",
    "smeared": "lost_part",
    "posterised": "banding",
    "stripes": "banding",
    "stripes_across": "banding",
    "tiles_of_other_brightness": "seams",
    "shifted_tiles": "seams",
    "extreme_contrast": "contrast",
    "washed_out": "washed_out",
    "veiled": "washed_out",
    "swapped_channels": "channels",
    "lost_channel": "channels",
    "bytes_as_units": "value_range",
    "units_as_bytes": "value_range",
    "wrapped": "value_range",
    "negative_lost": "value_range",
    "scaled_twice": "value_range",
    "inverted": "value_range",
    "gamma_twice": "gamma",
    "repeated_tiles": "repeated",
    "damaged_jpeg": "codec",
    "starved_codec": "codec",
    "lost_macroblocks": "codec",
    "wrong_stride": "layout",
    "planes_as_pixels": "layout",
}
"""What the outputs of the head answer to, in their order: a breakage that it was taught, and the kind of that fault."""

_KINDS = tuple(OUTPUTS.values())

WEIGHTS = Path(__file__).with_name("head.safetensors")


@dataclass(frozen=True, kw_only=True)
class Head:
    """Standardise, one hidden layer, one output for each of `OUTPUTS`.

    Attributes:
        mean: Of each feature, (F,).
        scale: One over the standard deviation of each feature, (F,).
        hidden: Weights (F, H).
        hidden_bias: (H,).
        output: Weights (H, K).
        output_bias: (K,).
        thresholds: Log-odds above which an image is broken, (K,).
    """

    mean: Floats
    scale: Floats
    hidden: Floats
    hidden_bias: Floats
    output: Floats
    output_bias: Floats
    thresholds: Floats

    def __call__(self, features: Floats) -> Floats:
        """Log-odds of each output: (N, F) to (N, K)."""
        standard = np.clip((features - self.mean) * self.scale, -8, 8)
        log_odds: Floats = np.maximum(standard @ self.hidden + self.hidden_bias, 0) @ self.output + self.output_bias
        return log_odds

    def nearest(self, log_odds: Floats) -> tuple[str, float, float]:
        """The kind of the output that is highest above (or least below) its limit, its log-odds, and its limit."""
        index = int(np.argmax(log_odds - self.thresholds))
        return _KINDS[index], float(log_odds[index]), float(self.thresholds[index])


@lru_cache(maxsize=1)
def load_head() -> Head:
    """The head that comes with the package."""
    return Head(**load_file(WEIGHTS))
