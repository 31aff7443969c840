"""Real photographs for tests: those that scikit-image carries."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from perceptmetrics.functional.image import resize
from perceptmetrics.images.examples import sample_photographs
from perceptmetrics.images.load import load_image


def photographs(height: int, width: int) -> Tensor:
    """All sample photographs at one size: shape (N, 3, height, width), float32 in [0, 1]."""
    return torch.cat([resize(image, (height, width)) for image in _originals()]).clamp(0, 1)


@cache
def _originals() -> list[Tensor]:
    return [load_image(image)[None] for image in sample_photographs().values()]
