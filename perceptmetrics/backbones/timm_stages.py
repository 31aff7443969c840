"""A timm convolutional encoder summarised by the statistics of its stages."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perceptmetrics.backbones.base import Backbone
from perceptmetrics.backbones.fold import fold_batch_norms

__all__ = ["TimmStages"]

_VARIANCE_FLOOR = 1e-6  # keeps the gradient of the standard deviation finite where a channel is constant


class TimmStages(Backbone):
    """Mean and standard deviation over space of every channel of every stage, any size from 32 x 32.

    Args:
        network: timm network built with `features_only=True`, with its weights. Batch normalisation is folded.
    """

    min_size = 32

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval()
        self.feature_size = 2 * sum(network.feature_info.channels())  # type: ignore[union-attr,operator]
        fold_batch_norms(self.network)
        self.network.to(memory_format=torch.channels_last)

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode pictures: for each stage its C means, then its C standard deviations."""
        statistics: list[Tensor] = []
        for stage in self.network(pixels.contiguous(memory_format=torch.channels_last)):
            variance, mean = torch.var_mean(stage, dim=(-2, -1), correction=0)
            statistics += [mean, (variance + _VARIANCE_FLOOR).sqrt()]
        return torch.cat(statistics, dim=-1)
