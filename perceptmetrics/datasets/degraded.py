"""Degraded photographs, rendered when they are needed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.degradations import Degradation, Pixels, degrade, resize

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DegradedPhotograph", "Showing"]

_VERSION = 1  # of the rendering; part of each identity


@dataclass(frozen=True, kw_only=True)
class Showing:
    """How a photograph is shown before it is degraded.

    Attributes:
        long_side: Longest side, in pixels, to which it is shrunk (never enlarged); None for its own size.
        crop: Height and width of a crop in pixels, and its vertical and horizontal position as fractions in [0, 1];
            None for the whole photograph.
        mirrored: Whether it is flipped horizontally.
    """

    long_side: int | None = None
    crop: tuple[int, int, float, float] | None = None
    mirrored: bool = False


@dataclass(frozen=True, kw_only=True)
class DegradedPhotograph:
    """A rung of a ladder; implements `RenderedImage`.

    Attributes:
        photograph: File of the photograph.
        showing: How it is shown.
        degradation: How it is degraded; None for the undegraded rung.
    """

    photograph: Path
    showing: Showing
    degradation: Degradation | None

    @property
    def identity(self) -> str:
        """See `RenderedImage`."""
        status = self.photograph.stat()
        file = [str(self.photograph.resolve()), status.st_size, status.st_mtime_ns]
        degradation = None if self.degradation is None else asdict(self.degradation)
        return json.dumps(["ladders", _VERSION, file, asdict(self.showing), degradation])

    def render(self) -> Tensor:
        """See `RenderedImage`."""
        import torch  # late: listing data sets does not need PyTorch

        from perceptmetrics.images.load import load_image

        image = load_image(self.photograph).permute(1, 2, 0).numpy()
        pixels = _shown(image, self.showing)
        if self.degradation is not None:
            pixels = degrade(pixels, self.degradation)
        return torch.from_numpy(np.round(pixels * 255).astype(np.uint8)).permute(2, 0, 1).contiguous()


def _shown(image: Pixels, showing: Showing) -> Pixels:
    if showing.long_side is not None and showing.long_side < max(image.shape):
        scale = showing.long_side / max(image.shape)
        small = np.clip(resize(image, (round(image.shape[0] * scale), round(image.shape[1] * scale))), 0, 1)
        image = (np.round(small * 255) / 255).astype(np.float32)  # as in an 8-bit file
    if showing.crop is not None:
        height, width = (min(side, limit) for side, limit in zip(showing.crop[:2], image.shape[:2], strict=True))
        top = round(showing.crop[2] * (image.shape[0] - height))
        left = round(showing.crop[3] * (image.shape[1] - width))
        image = image[top : top + height, left : left + width]
    return np.ascontiguousarray(image[:, ::-1] if showing.mirrored else image)
