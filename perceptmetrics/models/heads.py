"""From features to raw outputs."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perceptmetrics.functional.score import antonym_probability, signed_log

if TYPE_CHECKING:
    from perceptmetrics.spec import MlpHeadSpec

__all__ = ["AntonymHead", "CosineHead", "MlpHead", "head_shapes"]


class AntonymHead(nn.Module):
    """Probability of the positive prompt of each antonym pair (CLIP-IQA, section 3.1).

    Args:
        text_features: Shape (P, 2, D), unit length; [:, 0] are the positive prompts.
        logit_scale: CLIP's factor, about 100.
        average: Average the pairs into one output.
    """

    text_features: Tensor
    logit_scale: Tensor

    def __init__(self, text_features: Tensor, logit_scale: float, *, average: bool = False) -> None:
        super().__init__()
        self.average = average
        self.register_buffer("text_features", text_features)
        self.register_buffer("logit_scale", torch.tensor(logit_scale))

    def forward(self, features: Tensor) -> Tensor:
        """Compare image features with the prompts.

        Args:
            features: Shape (N, D).

        Returns:
            Shape (N, P), or (N, 1) when the pairs are averaged; in [0, 1].
        """
        probabilities = antonym_probability(features.float(), self.text_features.float(), self.logit_scale.float())
        return probabilities.mean(dim=-1, keepdim=True) if self.average else probabilities


class CosineHead(nn.Module):
    """Cosine of an image with a single prompt (CLIP-IQA, Fig. 2a).

    Args:
        text_feature: Shape (D,), unit length.
    """

    text_feature: Tensor

    def __init__(self, text_feature: Tensor) -> None:
        super().__init__()
        self.register_buffer("text_feature", text_feature)

    def forward(self, features: Tensor) -> Tensor:
        """Compare image features (N, D) with the prompt: shape (N, 1), in [-1, 1]."""
        return F.normalize(features.float(), dim=-1) @ self.text_feature.float()[:, None]


class MlpHead(nn.Module):
    """Features into a multilayer perceptron.

    Args:
        spec: Sizes, activation, and what is done to the features first.
    """

    feature_mean: Tensor
    feature_std: Tensor

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
        last = max(place for place, layer in enumerate(layers) if isinstance(layer, nn.Linear))
        self.layers = nn.Sequential(*layers[: last + 1])

    def standardise(self, features: Tensor) -> Tensor:
        """Map features and, where the head was trained so, standardise them.

        Args:
            features: Shape (..., widths[0]).

        Returns:
            Same shape, in the head's precision.
        """
        features = features.to(next(self.layers.parameters()).dtype)
        if self.feature_map == "signed_log":
            features = signed_log(features)
        return (features - self.feature_mean) / self.feature_std if self.standardises else features

    def forward(self, features: Tensor) -> Tensor:
        """Predict.

        Args:
            features: Shape (N, widths[0]).

        Returns:
            Shape (N, widths[-1]).
        """
        outputs: Tensor = self.layers(self.input_dropout(self.standardise(features)))
        return outputs


def head_shapes(spec: MlpHeadSpec) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of a trained head."""
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in MlpHead(spec).state_dict().items()}
