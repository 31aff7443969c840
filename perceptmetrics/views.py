"""How an image is shown to an encoder.

A view is a pure function of the pixels. Views of equal size go through the encoder together, so they come out
as groups: a list of tensors of shape (N * V, 3, h, w), the V views of an image next to each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from perceptmetrics.functional.image import normalise, shrink_to_long_side

if TYPE_CHECKING:
    from perceptmetrics.spec import ViewsSpec

__all__ = ["Views"]


class Views(nn.Module):
    """The views of a metric.

    Args:
        spec: Which views, and the normalisation of their pixels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: ViewsSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("mean", torch.tensor(spec.mean), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Make the views of a batch.

        Args:
            images: Shape (N, 3, H, W), RGB in [0, 1].

        Returns:
            Groups of shape (N * V, 3, h, w), normalised; differentiable in `images`.
        """
        mean, std = self.mean.to(images.dtype), self.std.to(images.dtype)
        groups = []
        for view in self.spec.views:
            pixels = images if view.max_long_side is None else shrink_to_long_side(images, view.max_long_side)
            groups.append(normalise(pixels, mean, std))
        return groups
