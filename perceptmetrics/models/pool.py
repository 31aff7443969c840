"""From the outputs of an image's views to those of the image."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from torch import Tensor, nn

from perceptmetrics.models.shared_tensors import own_what_trains

if TYPE_CHECKING:
    from typing_extensions import Self

    from perceptmetrics.spec import PoolSpec, RegressorSpec

__all__ = ["Pool"]


class Pool(nn.Module):
    """Aggregates views and, where one was trained, applies a regressor (CLIP-IQA, section 3.3; CLIP-UIQA).

    Args:
        spec: Aggregation and regressor.
    """

    def __init__(self, spec: PoolSpec) -> None:
        super().__init__()
        self.aggregation = spec.aggregation
        self.regressor = None if spec.regressor is None else _perceptron(spec.regressor)

    def forward(self, outputs: Tensor) -> Tensor:
        """Pool.

        Args:
            outputs: Shape (N, V, K): of V views of N images.

        Returns:
            Shape (N, K), or what the regressor gives.
        """
        pooled = outputs.mean(dim=1) if self.aggregation == "mean" else outputs.flatten(1)
        if self.regressor is not None:
            pooled = self.regressor(pooled)
        return pooled

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze the regressor or let it train; what trains is not shared."""
        super().requires_grad_(requires_grad)
        own_what_trains(self)
        return self


def _perceptron(spec: RegressorSpec) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(spec.widths):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(spec.negative_slope)]
    return nn.Sequential(*layers[:-1])
