"""What every encoder promises."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from perceptmetrics.errors import InvalidImageError

__all__ = ["Backbone"]


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
                f"Images must be at least {self.min_size} x {self.min_size} pixels for {type(self).__name__}, "
                f"got {height} x {width} (height x width). Enlarge or leave out smaller ones."
            )
        return self.encode(pixels)
