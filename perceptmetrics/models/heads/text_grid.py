"""Scaled cosines with a text for each combination of words (LIQE), and which of the words are scored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from perceptmetrics.errors import InvalidOptionError, nearest_names
from perceptmetrics.models.heads.base import Head, HeadMaterial, register_head
from perceptmetrics.models.metric_options import MetricOption
from perceptmetrics.spec import MarginalMap, MetricSpec, ScoreSpec, TextGridHeadSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

__all__ = ["TextGridHead"]


class TextGridHead(Head):
    """Logits of texts.

    Args:
        text_features: Shape (K, D), unit length.
        logit_scale: CLIP's factor, about 100.
    """

    spec_class = TextGridHeadSpec
    text_features: Tensor
    logit_scale: Tensor

    def __init__(self, text_features: Tensor, logit_scale: float) -> None:
        super().__init__()
        self.register_buffer("text_features", text_features)
        self.register_buffer("logit_scale", torch.tensor(logit_scale))

    @classmethod
    def build(cls, spec: TextGridHeadSpec, material: HeadMaterial) -> Self:
        """See `Head.build`."""
        found = material.text_features(spec.texts)
        return cls(found.features, found.logit_scale)

    @classmethod
    def options(cls, metric: MetricSpec) -> tuple[MetricOption, ...]:
        """Which axis is scored, where there are several."""
        several = isinstance(metric.head, TextGridHeadSpec) and len(metric.head.axes) > 1
        return (MetricOption(("output",), _with_output),) if several else ()

    def forward(self, features: Tensor, texts: Tensor | None = None) -> Tensor:
        """Compare image features (N, D) with the texts: shape (N, K)."""
        cosines = F.normalize(features.float(), dim=-1) @ self.text_features.float().T
        return self.logit_scale.float() * cosines


def _with_output(spec: MetricSpec, values: Mapping[str, Any]) -> MetricSpec:
    """The probabilities of the words of another axis; the first one is what the metric scores by itself."""
    head, name = spec.head, values["output"]
    names = [axis.name for axis in head.axes] if isinstance(head, TextGridHeadSpec) else []
    if not isinstance(head, TextGridHeadSpec) or name not in names:
        raise InvalidOptionError(f"output= must be one of {names}, got {name!r}. {nearest_names(str(name), names)}")
    index = names.index(name)
    if index == 0:
        return spec
    score = ScoreSpec(
        lower=0.0,
        upper=1.0,
        higher_is_better=True,
        labels=head.axes[index].words,
        map=MarginalMap(sizes=head.sizes, axis=index),
    )
    card = replace(spec.card, summary=f"Probability of each {name} of {spec.name}.")
    return replace(spec, task="attribute", score=score, card=card)


register_head(TextGridHead)
