"""No encoder: a metric that scores embeddings alone needs its head and the width of its features, not a gigabyte."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.models.encoders.base import Encoder

__all__ = ["AbsentEncoder"]


class AbsentEncoder(Encoder):
    """Stands where an encoder would, and knows only how wide its features are.

    Args:
        feature_size: Length of the features.
    """

    min_size = 1

    def __init__(self, feature_size: int) -> None:
        super().__init__()
        self.feature_size = feature_size
        self.device_of_metric = nn.Parameter(torch.empty(0), requires_grad=False)

    def encode(self, pixels: Tensor) -> Tensor:
        """Refused.

        Raises:
            InvalidOptionError: Always.
        """
        raise InvalidOptionError(
            "The metric was created with embeddings_only=True, so it has no encoder and scores no images. Call "
            "score_features with embeddings, or create the metric without it."
        )

    def fingerprint(self) -> str:
        """Refused.

        Raises:
            InvalidOptionError: Always.
        """
        raise InvalidOptionError(
            "The metric was created with embeddings_only=True, so it has no encoder and no fingerprint to compare. "
            "Name the encoder instead, such as encoder='ViT-L-14', or create the metric without it."
        )
