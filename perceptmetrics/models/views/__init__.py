"""How an image is shown to an encoder.

Views of equal size go through the encoder together, so they come out as groups: a list of tensors of shape
(N * V, 3, h, w), the V views of an image next to each other. To add a kind of view, see `View` and `register_view`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from perceptmetrics.models.views.base import Normalization, Rectangle, Variation, View, Window, register_view
from perceptmetrics.models.views.crops import Crops, Fragments
from perceptmetrics.models.views.patches import Patches
from perceptmetrics.models.views.resized import Padded, Scaled, Square
from perceptmetrics.models.views.whole import CentreCrop, Salient, Whole
from perceptmetrics.spec.views import VIEWS

if TYPE_CHECKING:
    from perceptmetrics.spec import ViewsSpec

__all__ = [
    "CentreCrop",
    "Crops",
    "Fragments",
    "Normalization",
    "Padded",
    "Patches",
    "Rectangle",
    "Salient",
    "Scaled",
    "Square",
    "Variation",
    "View",
    "Views",
    "Whole",
    "Window",
    "register_view",
]


class Views(nn.Module):
    """The views of a metric.

    Args:
        spec: Which views, and the normalisation of their pixels.
        seed: Seed of what is drawn, such as the offsets of random crops. They are the same for every image, whatever
            its content, its batch or its index in it.
    """

    def __init__(self, spec: ViewsSpec, seed: int = 0) -> None:
        super().__init__()
        self.spec = spec
        self.seed = seed
        self.normalization = Normalization(spec.mean, spec.std)
        self.views: list[View[Any]] = [VIEWS.builder_of(view)(view, seed) for view in spec.views]

    @property
    def only(self) -> View[Any] | None:
        """The view of a metric that has a single kind of view; None for several."""
        return self.views[0] if len(self.views) == 1 else None

    def forward(self, images: Tensor) -> list[Tensor]:
        """Make the views of a batch.

        Args:
            images: Shape (N, 3, H, W), RGB in [0, 1] on any device, or in 0..255 as uint8 on the CPU. Fixed-size views
                resize 8-bit pixels as Pillow, and with it the published models, does.

        Returns:
            Groups of shape (N * V, 3, h, w), normalised; differentiable in floating-point `images`.
        """
        if images.dtype != torch.uint8:
            images = images.to(self.normalization.mean.device)
        if images.dtype in (torch.float16, torch.bfloat16):  # too coarse for geometry
            images = images.float()
        return [view.show(images, self.normalization) for view in self.views]

    def windows(self, height: int, width: int) -> list[list[list[Window]]]:
        """Which parts of an image each view shows.

        Args:
            height: Height of the image in pixels.
            width: Its width.

        Returns:
            For each group that `forward` returns: for each view of an image: its windows.
        """
        return [view.windows(height, width) for view in self.views]
