"""What the learned part of the tripwire sees of an image: stages of EfficientNet-Lite0 at a small size, and pixels.

It uses the encoder of `lite_iqa` and nothing else of that metric.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from perceptmetrics.metrics.lite import EFFICIENTNET_LITE0_WEIGHTS
from perceptmetrics.models.encoders import Encoder, Placement, load_image_encoder
from perceptmetrics.spec import TimmEncoderSpec
from perceptmetrics.tripwire.statistics import pixel_statistics
from perceptmetrics.weights.resolve import ResolveOptions, resolve

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ENCODER_FEATURES", "SMALLEST", "features_of"]

ENCODER_FEATURES = 1024
SMALLEST = 32
"""Pixels a side from which the learned part judges."""

_AREA = 160 * 160
_ENCODER = TimmEncoderSpec(
    architecture="tf_efficientnet_lite0", quick_gelu=False, weights=EFFICIENTNET_LITE0_WEIGHTS, features="stages"
)


@lru_cache(maxsize=1)
@torch.inference_mode(mode=False)  # other metrics share these tensors
def _encoder() -> Encoder:
    file = resolve(EFFICIENTNET_LITE0_WEIGHTS, ResolveOptions(metric="lite_iqa"))
    return load_image_encoder(_ENCODER, file, placement=Placement("cpu"))


def features_of(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Describe an image.

    Args:
        image: Shape (3, H, W), uint8, at least `SMALLEST` pixels a side.

    Returns:
        One vector: means and standard deviations of the encoder's stages as signed logarithms, then the statistics of
        the pixels.

    Raises:
        MissingExtraError: The package with the encoder's weights is not installed.
        WeightsError: Its file is not the expected one.
    """
    with torch.inference_mode():
        stages = _encoder()(_small(torch.from_numpy(image)))[0].numpy()
    return np.concatenate([np.sign(stages) * np.log1p(np.abs(stages)), pixel_statistics(image)])


def _small(image: torch.Tensor) -> torch.Tensor:
    """Resize an image to the area that the encoder sees, if it is larger, and normalise it: (1, 3, h, w)."""
    height, width = image.shape[1:]
    scale = min(1.0, (_AREA / (height * width)) ** 0.5)
    size = [max(SMALLEST, round(height * scale)), max(SMALLEST, round(width * scale))]
    small = F.interpolate(image[None], size=size, mode="bilinear", antialias=True)
    return small.to(torch.float32) / 127.5 - 1
