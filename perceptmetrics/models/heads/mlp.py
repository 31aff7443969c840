"""Features into a multilayer perceptron."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from perceptmetrics.functional.score import signed_log
from perceptmetrics.models.heads.base import Head, HeadMaterial, register_head
from perceptmetrics.spec import MlpHeadSpec
from perceptmetrics.weights.layouts import load_strictly

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MlpHead"]


class MlpHead(Head):
    """Features into a multilayer perceptron.

    Args:
        spec: Sizes, activation, and what is done to the features first.
    """

    spec_class = MlpHeadSpec

    def __init__(self, spec: MlpHeadSpec) -> None:
        super().__init__()
        self.feature_map = spec.feature_map
        self.standardises = spec.standardise
        self.input_dropout = nn.Dropout(spec.input_dropout)
        if spec.standardise:
            self.register_buffer("feature_mean", torch.zeros(spec.widths[0]))
            self.register_buffer("feature_std", torch.ones(spec.widths[0]))
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(spec.widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU() if spec.activation == "relu" else nn.GELU()]
            layers += [nn.Dropout(spec.dropout)] if spec.dropout else []
        last = max(index for index, layer in enumerate(layers) if isinstance(layer, nn.Linear))
        self.layers = nn.Sequential(*layers[: last + 1])

    @classmethod
    def build(cls, spec: MlpHeadSpec, material: HeadMaterial) -> Self:
        """See `Head.build`."""
        if material.tensors is None:
            return cls(spec)
        with torch.device("meta"):  # no memory before the shapes have been compared
            head = cls(spec)
        load_strictly(head, material.tensors, material.origin)
        return head

    @classmethod
    def trained_shapes(cls, spec: MlpHeadSpec) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the state."""
        with torch.device("meta"):
            return {name: tuple(tensor.shape) for name, tensor in cls(spec).state_dict().items()}

    def map_features(self, features: Tensor) -> Tensor:
        """Features with their long tails tamed, where the head was trained so."""
        return signed_log(features) if self.feature_map == "signed_log" else features

    def standardise(self, features: Tensor) -> Tensor:
        """Map features and, where the head was trained so, standardise them.

        Args:
            features: Shape (..., widths[0]).

        Returns:
            Same shape, in the head's precision.
        """
        features = self.map_features(features.to(next(self.layers.parameters()).dtype))
        return (features - self.feature_mean) / self.feature_std if self.standardises else features

    def forward(self, features: Tensor, texts: Tensor | None = None) -> Tensor:
        """Predict.

        Args:
            features: Shape (N, widths[0]).
            texts: Not read.

        Returns:
            Shape (N, widths[-1]).
        """
        outputs: Tensor = self.layers(self.input_dropout(self.standardise(features)))
        return outputs


register_head(MlpHead)
