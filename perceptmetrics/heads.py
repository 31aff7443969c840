"""From features to raw outputs."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from perceptmetrics.functional.score import antonym_probability

__all__ = ["AntonymHead", "MlpHead"]


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


class MlpHead(nn.Module):
    """Standardised features into a multilayer perceptron with ReLU between its layers.

    Args:
        widths: Sizes from the features to the output.
    """

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("feature_mean", torch.zeros(widths[0]))
        self.register_buffer("feature_std", torch.ones(widths[0]))
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, features: Tensor) -> Tensor:
        """Predict.

        Args:
            features: Shape (N, widths[0]).

        Returns:
            Shape (N, widths[-1]).
        """
        outputs: Tensor = self.layers((features.to(self.feature_mean.dtype) - self.feature_mean) / self.feature_std)
        return outputs
