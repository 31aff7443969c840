"""The metrics as they are before training: a pretrained encoder, and heads, adapters or prompts at their start."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from perceptmetrics._util.seeding import seeded
from perceptmetrics.errors import InvalidOptionError, nearest_names
from perceptmetrics.factory.build import build_head
from perceptmetrics.factory.encoder_pair import EncoderPair, Material
from perceptmetrics.finetune.learner import Learner
from perceptmetrics.models.lora import attach_lora
from perceptmetrics.models.metric import Metric
from perceptmetrics.models.pool import Pool
from perceptmetrics.models.prompt_learner import PromptLearner, context_from_words, random_context
from perceptmetrics.models.views import Views
from perceptmetrics.spec.plain import to_plain
from perceptmetrics.weights.layouts import weight_file
from perceptmetrics.weights.resolve import ResolveOptions, file_sha256, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.finetune.recipe import Recipe
    from perceptmetrics.finetune.recipe_sections import PromptsRecipe
    from perceptmetrics.models.encoders import Backbone, TextEncoder
    from perceptmetrics.models.heads import Head
    from perceptmetrics.spec import AntonymHeadSpec, EncoderSpec, MetricSpec

__all__ = ["EncoderSource", "encoder_identity", "find_encoder", "start"]


@dataclass(frozen=True, kw_only=True)
class EncoderSource:
    """Where the encoder's weights are.

    Attributes:
        file: The file; None for random weights.
        seed: Seed of random weights.
        counts_only: Whether there are no weights at all, only their shapes, as a plan needs them.
    """

    file: Path | None
    seed: int = 0
    counts_only: bool = False


def find_encoder(spec: EncoderSpec, lookup: ResolveOptions, stated: Path | None) -> EncoderSource:
    """Look the encoder's file up, unless it is stated.

    Raises:
        WeightsError: It is missing and cannot be fetched.
    """
    return EncoderSource(file=stated or resolve(spec.weights, lookup))


def encoder_identity(spec: EncoderSpec, source: EncoderSource) -> str:
    """Text that is the same exactly when the encoder is."""
    weights = f"random {source.seed}" if source.file is None else file_sha256(weight_file(source.file))
    plain = to_plain(replace(spec, lora=None, in_trained_file=False))
    return f"{json.dumps({name: plain[name] for name in plain if name != 'weights'})} {weights}"


def start(recipe: Recipe, specs: Sequence[MetricSpec], source: EncoderSource, seed: int) -> Learner:
    """Build what is to be trained.

    Args:
        recipe: What is trained.
        specs: The metrics: one for each data set, or a single one for all.
        source: The encoder's weights.
        seed: Seed of what starts at random.

    Returns:
        The learner, on the CPU. What `recipe.train` names is trainable, all else frozen.

    Raises:
        WeightsError: The encoder's file does not fit.
    """
    encoders = EncoderPair(specs[0].backbone, source.file, seed=source.seed)
    with torch.device("meta") if source.counts_only else contextlib.nullcontext():
        text = encoders.text_encoder() if recipe.prompts is not None else None
        encoder = encoders.image_encoder()
    with seeded(seed):
        parts = [(build_head(spec.head.untrained(), Material(encoders, seed=seed)), Pool(spec.pool)) for spec in specs]
        if recipe.lora is not None:
            attach_lora(encoder, recipe.lora)
    metrics = [
        Metric(spec, Views(spec.views, recipe.seed), encoder, head, pool)
        for spec, (head, pool) in zip(specs, parts, strict=True)
    ]
    heads = [min(number, len(metrics) - 1) for number in range(len(recipe.data))]
    prompts = None if recipe.prompts is None or text is None else _prompts(specs[0], recipe.prompts, text, seed)
    learner = Learner(metrics, heads, prompts)
    set_trainable(learner, recipe, encoder=True)
    return learner


def set_trainable(learner: Learner, recipe: Recipe, *, encoder: bool) -> None:
    """Let train what a recipe names; with `encoder` False the heads only."""
    learner.requires_grad_(False)
    for metric in learner.metrics:
        for weight in cast("Head", metric.head).trained_parameters():
            weight.requires_grad_(True)
        metric.pool.requires_grad_(True)
    if learner.prompts is not None:
        learner.prompts.context.requires_grad_(True)
    backbone = learner.metric(0).backbone
    if encoder and recipe.train == "full":
        backbone.requires_grad_(True)
        for part in recipe.encoder.frozen:
            _freeze(backbone, part)
    if encoder and recipe.train == "lora":
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad_(".adapters." in name)


def _freeze(backbone: Backbone, part: str) -> None:
    """Freeze one part of the encoder."""
    names = {name.removeprefix(backbone.library_prefix): weight for name, weight in backbone.named_parameters()}
    chosen = [weight for name, weight in names.items() if f"{name}.".startswith(f"{part}.")]
    if not chosen:
        parts = {".".join(name.split(".")[:2]) for name in names}
        raise InvalidOptionError(f"encoder.frozen: no weight is called {part!r}. {nearest_names(part, parts)}")
    for weight in chosen:
        weight.requires_grad_(False)


def _prompts(spec: MetricSpec, recipe: PromptsRecipe, text: TextEncoder, seed: int) -> PromptLearner | None:
    """What learns the prompts; None for prompts as they are."""
    head = cast("AntonymHeadSpec", spec.head)  # what recipes with prompts make
    if head.context is None:
        return None
    prompts = None if recipe.shared else 2 * len(head.pairs)
    if recipe.init is None:
        context = random_context(text.width, recipe.length, prompts=prompts, seed=seed)
    else:
        context = context_from_words(text, recipe.init, prompts=prompts)
    if context.shape[-2] != recipe.length:
        raise InvalidOptionError(
            f"prompts.init {recipe.init!r} has {context.shape[-2]} tokens, and prompts.length is {recipe.length}. "
            f"State length: {context.shape[-2]}."
        )
    return PromptLearner(text, head.pairs, context, recipe.position)
