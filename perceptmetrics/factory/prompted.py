"""Encoders and heads of metrics that compare images with prompts: the texts as they are, or among learned vectors."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perceptmetrics.errors import InvalidSpecError, WeightsError
from perceptmetrics.models.encoders import (
    Backbone,
    LoadedBackbone,
    Placement,
    TextEncoder,
    build_backbone,
    build_image_tower,
    read_tower_weights,
)
from perceptmetrics.models.encoders.clip_text import tokenize_with_context
from perceptmetrics.models.heads import AntonymHead, CosineHead
from perceptmetrics.models.prompt_learner import random_context
from perceptmetrics.models.text_features import TextFeatures, features_of
from perceptmetrics.spec import AntonymHeadSpec, CosineHeadSpec, MetricSpec
from perceptmetrics.weights.layouts import PromptWeights, weight_file
from perceptmetrics.weights.resolve import file_sha256

if TYPE_CHECKING:
    from pathlib import Path

    from perceptmetrics.spec import ContextSpec

__all__ = ["compare_with_prompts"]

# Least cosine between a file's token embeddings and the CLIP's: equal up to half precision, or of another CLIP.
_SAME_TOKENS = 0.99


def compare_with_prompts(
    spec: MetricSpec,
    clip_file: Path | None,
    learned: PromptWeights | None = None,
    placement: Placement | None = None,
    seed: int = 0,
) -> tuple[Backbone, nn.Module]:
    """Build the encoder and the head of a metric with prompts.

    Args:
        spec: The metric.
        clip_file: Weights of the CLIP; None for random weights.
        learned: Learned vectors, for a metric that has them.
        placement: Where the encoder is wanted, and in which precision.
        seed: Seed of random weights, and of random vectors where none are given.

    Returns:
        The image tower and the head. The text tower is built only for prompts that are not in the cache.

    Raises:
        WeightsError: A file does not fit.
        InvalidOptionError: A prompt is too long.
    """
    clip = _Clip(spec, clip_file, placement or Placement(), seed)
    if isinstance(spec.head, CosineHeadSpec):
        head: nn.Module = CosineHead(clip.features_of([spec.head.prompt]).features[0])
    elif isinstance(spec.head, AntonymHeadSpec):
        head = _antonym_head(spec.head, clip, learned, seed)
    else:
        raise InvalidSpecError(f"{spec.name!r} has no prompts.")
    return clip.image_tower(), head


class _Clip:
    """A CLIP of which no more is built than is asked for."""

    def __init__(self, spec: MetricSpec, file: Path | None, placement: Placement, seed: int) -> None:
        self._spec, self._file, self._placement, self._seed = spec.backbone, file, placement, seed
        self._loaded: LoadedBackbone | None = None

    def text_tower(self) -> TextEncoder:
        """The text tower; the image tower is built with it."""
        if self._loaded is None:
            self._loaded = build_backbone(self._spec, self._file, self._seed, self._placement)
        if self._loaded.text is None:
            raise InvalidSpecError(f"{self._spec.architecture!r} reads no text, so images cannot be compared with it.")
        return self._loaded.text

    def image_tower(self) -> Backbone:
        """The image tower, alone if it can be."""
        if self._loaded is not None:
            return self._loaded.backbone
        tower = None if self._file is None else read_tower_weights(self._file, self._spec)
        return build_image_tower(self._spec, tower, self._seed, self._placement)

    def features_of(self, texts: list[str]) -> TextFeatures:
        """Features of texts."""

        def compute() -> TextFeatures:
            text = self.text_tower()
            return TextFeatures(text.encode(texts), text.logit_scale)

        return features_of(texts, self._identity(), compute)

    def features_among(self, texts: list[str], learned: PromptWeights, spec: ContextSpec) -> TextFeatures:
        """Features of texts among learned vectors, which are checked against the text tower when it is built."""
        context = _context_of(learned, spec, len(texts))

        def compute() -> TextFeatures:
            text = self.text_tower()
            _check_same_clip(spec, texts, text, learned)
            with torch.no_grad():
                return TextFeatures(text.encode_with_context(texts, context, spec.position), text.logit_scale)

        digest = hashlib.sha256(context.contiguous().numpy().data).hexdigest()
        names = [json.dumps([number, text, spec.position, digest]) for number, text in enumerate(texts)]
        return features_of(names, self._identity(), compute)

    def _identity(self) -> str | None:
        if self._file is None:
            return None
        return f"{file_sha256(weight_file(self._file))} {self._spec.architecture} {self._spec.quick_gelu}"


def _antonym_head(spec: AntonymHeadSpec, clip: _Clip, learned: PromptWeights | None, seed: int) -> AntonymHead:
    texts = [text for pair in spec.pairs for text in (pair.positive, pair.negative)]
    if spec.context is None:
        found = clip.features_of(texts)
    else:
        found = clip.features_among(texts, learned or _random_context(spec.context, clip, seed), spec.context)
    pairs = found.features.reshape(len(spec.pairs), 2, -1)
    return AntonymHead(pairs, found.logit_scale, average=spec.average)


def _random_context(spec: ContextSpec, clip: _Clip, seed: int) -> PromptWeights:
    return PromptWeights(context=random_context(clip.text_tower().width, spec.length, seed=seed))


def _context_of(learned: PromptWeights, spec: ContextSpec, count: int) -> Tensor:
    """The learned vectors for `count` texts."""
    context = learned.context
    if context is None or list(context.shape[:-1]) not in ([spec.length], [count, spec.length]):
        found = None if context is None else tuple(context.shape)
        raise WeightsError(
            f"The learned prompts should be of shape ({spec.length}, channels) or ({count}, {spec.length}, channels), "
            f"got {found}. Check that the file belongs to this metric."
        )
    return context


def _check_same_clip(spec: ContextSpec, texts: list[str], text: TextEncoder, learned: PromptWeights) -> None:
    """Check learned vectors against the CLIP, by their size and by the token embeddings that their file may hold."""
    if learned.context is not None and learned.context.shape[-1] != text.width:
        raise WeightsError(
            f"The learned prompts were trained with another CLIP: they have {learned.context.shape[-1]} channels, the "
            f"text tower at hand has {text.width}. Check backbone_checkpoint=."
        )
    if learned.before is None or learned.after is None:
        return
    embedded = text.embed(tokenize_with_context(texts, spec.length, text.context_length)).detach()
    own = torch.cat([embedded[:, :1], embedded[:, 1 + spec.length :]], dim=1)
    given = torch.cat([learned.before, learned.after], dim=1)
    if own.shape != given.shape or F.cosine_similarity(own.flatten(), given.flatten(), dim=0) < _SAME_TOKENS:
        raise WeightsError(
            f"The learned prompts were trained with another CLIP: the token embeddings in their file, of shape "
            f"{tuple(given.shape)}, are not those of the CLIP at hand, of shape {tuple(own.shape)}. "
            "Check backbone_checkpoint=."
        )
