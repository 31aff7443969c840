"""Plain cosines of images with texts: one prompt for all images, or one for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.models.heads.base import Head, HeadMaterial, register_head
from perceptmetrics.models.heads.prompt_options import encoder_options
from perceptmetrics.spec import CosineHeadSpec, PromptHeadSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn
    from typing_extensions import Self

    from perceptmetrics.models.encoders import TextEncoder
    from perceptmetrics.models.metric_options import MetricOption
    from perceptmetrics.spec import MetricSpec

__all__ = ["CosineHead", "PromptHead"]


class CosineHead(Head):
    """Cosine of an image with a single prompt (CLIP-IQA, Fig. 2a).

    Args:
        text_feature: Shape (D,), unit length.
    """

    spec_class = CosineHeadSpec
    text_feature: Tensor

    def __init__(self, text_feature: Tensor) -> None:
        super().__init__()
        self.register_buffer("text_feature", text_feature)

    @classmethod
    def build(cls, spec: CosineHeadSpec, material: HeadMaterial) -> Self:
        """See `Head.build`."""
        return cls(material.text_features([spec.prompt]).features[0])

    def forward(self, features: Tensor, texts: Tensor | None = None) -> Tensor:
        """Compare image features (N, D) with the prompt: shape (N, 1), in [-1, 1]."""
        return F.normalize(features.float(), dim=-1) @ self.text_feature.float()[:, None]


class PromptHead(Head):
    """Cosine of each image with its own text (Hessel et al., "CLIPScore", EMNLP 2021, section 3).

    Args:
        text_encoder: The text encoder of the same CLIP; it stays frozen.
        weight: Factor of the cosine.
        clamp: Whether negative cosines count as 0.
        scaled: Whether CLIP's own factor multiplies it too.
    """

    spec_class = PromptHeadSpec

    def __init__(
        self, text_encoder: TextEncoder, *, weight: float = 1.0, clamp: bool = False, scaled: bool = False
    ) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.weight = weight * text_encoder.logit_scale if scaled else weight
        self.clamp = clamp

    @classmethod
    def build(cls, spec: PromptHeadSpec, material: HeadMaterial) -> Self:
        """See `Head.build`."""
        return cls(material.text_encoder(), weight=spec.weight, clamp=spec.clamp, scaled=spec.scaled)

    @classmethod
    def options(cls, metric: MetricSpec) -> tuple[MetricOption, ...]:
        """Another CLIP, unless this one was trained for the metric."""
        return encoder_options(metric)

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Text features of prompts, shape (N, D), unit length; equal prompts are encoded once.

        Raises:
            InvalidOptionError: A prompt is empty, no text, or too long for CLIP to read whole.
        """
        for index, prompt in enumerate(prompts):
            if not isinstance(prompt, str) or not prompt.strip():
                raise InvalidOptionError(f"Prompt {index} must be a text, got {prompt!r}.")
        numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts))}
        features = self.text_encoder.encode(list(numbers))
        return features[[numbers[prompt] for prompt in prompts]]

    def forward(self, features: Tensor, texts: Tensor | None = None) -> Tensor:
        """Compare image features (N, D) with text features (N, D): shape (N, 1)."""
        if texts is None:
            raise InvalidOptionError("Each image is compared with a prompt of its own; none was given.")
        cosine = (F.normalize(features.float(), dim=-1) * texts.float()).sum(dim=-1, keepdim=True)
        return self.weight * (cosine.clamp(min=0) if self.clamp else cosine)

    def trained_parameters(self) -> Iterator[nn.Parameter]:
        """None: the text encoder stays as it is."""
        return iter(())

    def trained_state(self, context: Tensor | None = None) -> dict[str, Tensor]:
        """Nothing: the text encoder lies in the file of the CLIP."""
        return {}

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Leave the text encoder frozen."""
        return self


register_head(CosineHead)
register_head(PromptHead)
