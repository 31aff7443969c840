"""Cosines with antonyms and the magnitude of the features, fused (Liao et al., arXiv 2511.09948)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from perceptmetrics.functional.score import antonym_probability
from perceptmetrics.models.heads.base import Head, HeadMaterial, register_head
from perceptmetrics.spec import MagnitudeHeadSpec

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MagnitudeHead"]

_LEAST_SPREAD = 1e-6


class MagnitudeHead(Head):
    """The fused cue; see `MagnitudeHeadSpec` for its formula.

    Args:
        spec: Powers and weights.
        text_features: Shape (P, 2, D), unit length; [:, 0] are the positive prompts.
        logit_scale: CLIP's factor, about 100.
    """

    spec_class = MagnitudeHeadSpec
    text_features: Tensor
    logit_scale: Tensor

    def __init__(self, spec: MagnitudeHeadSpec, text_features: Tensor, logit_scale: float) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("text_features", text_features)
        self.register_buffer("logit_scale", torch.tensor(logit_scale))

    @classmethod
    def build(cls, spec: MagnitudeHeadSpec, material: HeadMaterial) -> Self:
        """See `Head.build`."""
        found = material.text_features([text for pair in spec.pairs for text in (pair.positive, pair.negative)])
        return cls(spec, found.features.reshape(len(spec.pairs), 2, -1), found.logit_scale)

    def forward(self, features: Tensor, texts: Tensor | None = None) -> Tensor:
        """From image features (N, D) to the fused cue, shape (N, 1)."""
        features = features.float()
        cosine = antonym_probability(features, self.text_features.float(), self.logit_scale.float()).mean(dim=-1)
        sizes = features.abs()
        sizes = sizes / (sizes.std(dim=-1, keepdim=True) + _LEAST_SPREAD)
        magnitude = (((sizes + 1) ** self.spec.power - 1) / self.spec.power).mean(dim=-1)
        lead = cosine - magnitude
        weights = torch.stack([self.spec.base_cosine + lead, self.spec.base_magnitude - lead], dim=-1).softmax(dim=-1)
        return (weights * torch.stack([cosine, magnitude], dim=-1)).sum(dim=-1, keepdim=True)


register_head(MagnitudeHead)
