"""Antonym prompts (CLIP-IQA), as texts or among learned vectors (CLIP-IQA+)."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from perceptmetrics.errors import InvalidSpecError, WeightsError
from perceptmetrics.functional.score import antonym_probability
from perceptmetrics.models.encoders.clip_text import tokenize_with_context
from perceptmetrics.models.heads.base import Head, HeadMaterial, register_head
from perceptmetrics.models.heads.prompt_options import pool_options, prompt_options
from perceptmetrics.models.prompt_learner import context_of_each, random_context
from perceptmetrics.models.text_features import TextFeatures
from perceptmetrics.spec import AntonymHeadSpec
from perceptmetrics.weights.layouts import prompt_signatures, read_prompts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from typing_extensions import Self

    from perceptmetrics.models.encoders import TextEncoder
    from perceptmetrics.models.metric_options import MetricOption
    from perceptmetrics.spec import ContextSpec, MetricSpec
    from perceptmetrics.weights.layouts import FileSignature, TrainedWeights

__all__ = ["AntonymHead"]

# Least cosine between a file's token embeddings and the CLIP's: equal up to half precision, or of another CLIP.
_SAME_TOKENS = 0.99


class AntonymHead(Head):
    """Probability of the positive prompt of each antonym pair (CLIP-IQA, section 3.1).

    Args:
        text_features: Shape (P, 2, D), unit length; [:, 0] are the positive prompts.
        logit_scale: CLIP's factor, about 100.
        average: Average the pairs into one output.
    """

    spec_class = AntonymHeadSpec
    text_features: Tensor
    logit_scale: Tensor

    def __init__(self, text_features: Tensor, logit_scale: float, *, average: bool = False) -> None:
        super().__init__()
        self.average = average
        self.register_buffer("text_features", text_features)
        self.register_buffer("logit_scale", torch.tensor(logit_scale))

    @classmethod
    def build(cls, spec: AntonymHeadSpec, material: HeadMaterial) -> Self:
        """See `Head.build`.

        Raises:
            WeightsError: The learned vectors belong to another CLIP, or the specification has no place for them.
            InvalidOptionError: A prompt is too long.
        """
        texts = [text for pair in spec.pairs for text in (pair.positive, pair.negative)]
        tensors = material.tensors or {}
        if spec.context is None:
            if "context" in tensors:
                raise WeightsError(
                    f"{material.origin} holds learned prompts, but the metric has none with these options, so they "
                    "would not be used. State the length of the context in the specification, or pass a file without "
                    "them."
                )
            found = material.text_features(texts)
        else:
            found = _features_in_context(spec.context, texts, tensors, material)
        return cls(found.features.reshape(len(spec.pairs), 2, -1), found.logit_scale, average=spec.average)

    @classmethod
    def read_published(cls, path: Path, spec: AntonymHeadSpec) -> TrainedWeights:
        """Read learned prompts, see `weights.layouts.prompts`."""
        return read_prompts(path)

    @classmethod
    def published_files(cls, spec: AntonymHeadSpec, channels: int | None) -> list[FileSignature]:
        """Learned prompts, see `weights.layouts.prompts`."""
        if spec.context is None or channels is None:
            return []
        return prompt_signatures(spec.context.length, len(spec.pairs), channels)

    @classmethod
    def options(cls, metric: MetricSpec) -> tuple[MetricOption, ...]:
        """Other prompts and another CLIP, where neither was trained; how several views are put together."""
        if not metric.head.takes_prompts:
            return ()
        return (*prompt_options(), *(pool_options() if len(metric.views.views) > 1 else ()))

    def forward(self, features: Tensor, texts: Tensor | None = None) -> Tensor:
        """Compare image features with the prompts.

        Args:
            features: Shape (N, D).
            texts: Not read.

        Returns:
            Shape (N, P), or (N, 1) when the pairs are averaged; in [0, 1].
        """
        probabilities = antonym_probability(features.float(), self.text_features.float(), self.logit_scale.float())
        return probabilities.mean(dim=-1, keepdim=True) if self.average else probabilities

    def trained_state(self, context: Tensor | None = None) -> dict[str, Tensor]:
        """The learned vectors: those given, or the head's own tensor `context`."""
        held = getattr(self, "context", None) if context is None else context
        if not isinstance(held, Tensor):
            raise InvalidSpecError(
                "The prompts have a learned context, but the metric keeps only what the text encoder made of it. Pass "
                "the vectors as context=."
            )
        return {"context": held}


def _features_in_context(
    spec: ContextSpec, texts: list[str], tensors: Mapping[str, Tensor], material: HeadMaterial
) -> TextFeatures:
    """Features of texts among learned vectors, which are checked against the text encoder when it is built."""
    if material.tensors is None:
        context = random_context(material.text_encoder().width, spec.length, seed=material.seed)
    else:
        context = _context_for(tensors.get("context"), spec, len(texts))

    def compute(text: TextEncoder) -> TextFeatures:
        _check_same_clip(spec, texts, text, context, tensors)
        with torch.no_grad():
            return TextFeatures(text.encode_with_context(texts, context, spec.position), text.logit_scale)

    digest = hashlib.sha256(context.contiguous().numpy().data).hexdigest()
    names = [json.dumps([number, text, spec.position, digest]) for number, text in enumerate(texts)]
    return material.text_features(names, compute)


def _context_for(context: Tensor | None, spec: ContextSpec, count: int) -> Tensor:
    """The learned vectors for `count` texts."""
    shapes = ([spec.length], [count // 2, spec.length], [count, spec.length])
    if context is None or list(context.shape[:-1]) not in shapes:
        found = None if context is None else tuple(context.shape)
        raise WeightsError(
            f"The learned prompts should have the shape ({spec.length}, channels), ({count // 2}, {spec.length}, "
            f"channels) or ({count}, {spec.length}, channels), got {found}. Check that the file belongs to this metric."
        )
    return context_of_each(context, count)


def _check_same_clip(
    spec: ContextSpec, texts: list[str], text: TextEncoder, context: Tensor, tensors: Mapping[str, Tensor]
) -> None:
    """Check learned vectors against the CLIP, by their size and by the token embeddings that their file may hold."""
    if context.shape[-1] != text.width:
        raise WeightsError(
            f"The learned prompts were trained with another CLIP: they have {context.shape[-1]} channels, the "
            f"text encoder at hand has {text.width}. Check backbone_checkpoint=."
        )
    if "token_prefix" not in tensors or "token_suffix" not in tensors:
        return
    embedded = text.embed(tokenize_with_context(texts, spec.length, text.context_length)).detach()
    own = torch.cat([embedded[:, :1], embedded[:, 1 + spec.length :]], dim=1)
    given = torch.cat([tensors["token_prefix"], tensors["token_suffix"]], dim=1)
    if own.shape != given.shape or F.cosine_similarity(own.flatten(), given.flatten(), dim=0) < _SAME_TOKENS:
        raise WeightsError(
            f"The learned prompts were trained with another CLIP: the token embeddings in their file, of shape "
            f"{tuple(given.shape)}, are not those of the CLIP at hand, of shape {tuple(own.shape)}. "
            "Check backbone_checkpoint=."
        )


register_head(AntonymHead)
