"""A timm convolutional encoder summarised by the statistics of its stages."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perceptmetrics.models.encoders.timm_network import TimmEncoder

__all__ = ["TimmStages"]

_VARIANCE_FLOOR = 1e-6  # keeps the gradient of the standard deviation finite where a channel is constant


class TimmStages(TimmEncoder):
    """Mean and standard deviation over space of every channel of every stage, any size from 32 x 32.

    Args:
        network: timm network built with `features_only=True`, with its weights.
    """

    min_size = 32

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network, convolutional=True)
        self.feature_size = 2 * sum(network.feature_info.channels())  # type: ignore[union-attr,operator]

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode pictures: for each stage its C means, then its C standard deviations."""
        statistics: list[Tensor] = []
        for stage in self.network(self.laid_out(pixels)):
            variance, mean = torch.var_mean(stage, dim=(-2, -1), correction=0)
            statistics += [mean, (variance + _VARIANCE_FLOOR).sqrt()]
        return torch.cat(statistics, dim=-1)
