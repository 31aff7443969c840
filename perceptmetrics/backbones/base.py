"""What every encoder promises."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from perceptmetrics.errors import InvalidImageError

__all__ = ["Backbone"]

_CACHED_PIXELS_PER_THREAD = 200_000


class Backbone(nn.Module, ABC):
    """An encoder. It sees pixels and nothing else: no metric's name, no prompt, no score.

    Attributes:
        feature_size: Length D of a feature vector.
        min_size: Smallest height and width, in pixels, from which features can be computed.
    """

    feature_size: int
    min_size: int

    @abstractmethod
    def encode(self, pixels: Tensor) -> Tensor:
        """Encode pictures that are large enough.

        Args:
            pixels: Shape (N, 3, H, W), normalised.

        Returns:
            Shape (N, D), differentiable in `pixels`, each row independent of the others.
        """

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pictures.

        Args:
            pixels: Shape (N, 3, H, W), normalised.

        Returns:
            Shape (N, D).

        Raises:
            InvalidImageError: Height or width is below `min_size`.
        """
        height, width = pixels.shape[-2:]
        if min(height, width) < self.min_size:
            raise InvalidImageError(
                f"Images must be at least {self.min_size} x {self.min_size} pixels for this encoder, "
                f"got {height} x {width} (height x width). Enlarge or leave out smaller ones."
            )
        part = self._cache_sized_part(pixels)
        if part >= pixels.shape[0]:
            return self.encode(pixels)
        return torch.cat([self.encode(some) for some in torch.split(pixels, part)])

    def _cache_sized_part(self, pixels: Tensor) -> int:
        """How many pictures to encode at once.

        A processor is faster on a few pictures, whose feature maps stay in its caches, than on many; a GPU the other
        way round. Traced programs keep their batch whole.
        """
        if pixels.device.type != "cpu" or torch.compiler.is_compiling():
            return pixels.shape[0]
        area = pixels.shape[-2] * pixels.shape[-1]
        return max(1, _CACHED_PIXELS_PER_THREAD * torch.get_num_threads() // area)
