"""Softmax over the cosines with learned pairs of features (QualiCLIP)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.functional.score import antonym_probability
from perceptmetrics.models.heads.base import Head, HeadMaterial, register_head
from perceptmetrics.models.metric_options import MetricOption
from perceptmetrics.spec import FeaturePairsHeadSpec
from perceptmetrics.weights.layouts import IMAGE_ENCODER, FileSignature, TrainedWeights, load_strictly
from perceptmetrics.weights.tensor_files import read_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from typing_extensions import Self

    from perceptmetrics.spec import MetricSpec

__all__ = ["FeaturePairsHead"]

# Names in the file of QualiCLIP, which also holds the text encoder that made the features.
_PUBLISHED, _CLIP = "prompts_features", "clip_model."


class FeaturePairsHead(Head):
    """Probability of the first feature of each pair, averaged over the pairs.

    Args:
        features: Shape (2 P, D).
        scale: Factor of the cosines.
    """

    spec_class = FeaturePairsHeadSpec
    scale: Tensor

    def __init__(self, features: Tensor, scale: float) -> None:
        super().__init__()
        self.features = nn.Parameter(features)
        self.register_buffer("scale", torch.tensor(scale), persistent=False)

    @classmethod
    def build(cls, spec: FeaturePairsHeadSpec, material: HeadMaterial) -> Self:
        """See `Head.build`."""
        scale = spec.scale / spec.temperature
        head = cls(torch.randn(2 * spec.pairs, spec.width), scale)
        if material.tensors is not None:
            load_strictly(head, material.tensors, material.origin)
        return head

    @classmethod
    def trained_shapes(cls, spec: FeaturePairsHeadSpec) -> dict[str, tuple[int, ...]]:
        """The features."""
        return {"features": (2 * spec.pairs, spec.width)}

    @classmethod
    def published_files(cls, spec: FeaturePairsHeadSpec, channels: int | None) -> list[FileSignature]:
        """The file of QualiCLIP."""
        shapes = {_PUBLISHED: (2 * spec.pairs, spec.width)}
        return [FileSignature(what="features of prompts with their CLIP", shapes=shapes, others=(_CLIP,))]

    @classmethod
    def read_published(cls, path: Path, spec: FeaturePairsHeadSpec) -> TrainedWeights | None:
        """Read the file of QualiCLIP; the text encoder is left out."""
        tensors = read_tensors(path)
        if _PUBLISHED not in tensors:
            return None
        image = _CLIP + IMAGE_ENCODER
        return TrainedWeights(
            head={"features": tensors[_PUBLISHED].float()},
            encoder={
                name.removeprefix(_CLIP): tensor.float() if tensor.is_floating_point() else tensor
                for name, tensor in tensors.items()
                if name.startswith(image)
            },
        )

    @classmethod
    def options(cls, metric: MetricSpec) -> tuple[MetricOption, ...]:
        """`temperature=`."""
        return (MetricOption(("temperature",), _with_temperature),)

    def forward(self, features: Tensor, texts: Tensor | None = None) -> Tensor:
        """Compare image features (N, D) with the pairs: shape (N, 1), in [0, 1]."""
        pairs = F.normalize(self.features.float(), dim=-1).unflatten(0, (-1, 2))  # type: ignore[no-untyped-call]
        return antonym_probability(features.float(), pairs, self.scale.float()).mean(dim=-1, keepdim=True)


def _with_temperature(spec: MetricSpec, values: Mapping[str, Any]) -> MetricSpec:
    temperature = values["temperature"]
    if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or not 0 < temperature < float("inf"):
        raise InvalidOptionError(f"temperature= must be a positive number, got {temperature!r}.")
    head = cast("FeaturePairsHeadSpec", spec.head)
    return replace(spec, head=replace(head, temperature=float(temperature)))


register_head(FeaturePairsHead)
