"""Build the model to be trained: a pretrained encoder with new heads, adapters or prompts, and what of it is frozen."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from perceptmetrics._util.seeding import seeded
from perceptmetrics.errors import InvalidOptionError, InvalidSpecError, nearest_names
from perceptmetrics.factory.build import Files, build_head, encoder_file, open_encoders, open_trained, split_tensors
from perceptmetrics.factory.encoder_pair import Material
from perceptmetrics.factory.folder import find_spec
from perceptmetrics.factory.tuned_encoder import TunedWeights
from perceptmetrics.finetune.model.learner import Learner
from perceptmetrics.models.encoders import Placement
from perceptmetrics.models.lora import attach_lora
from perceptmetrics.models.metric import Metric
from perceptmetrics.models.pool import Pool
from perceptmetrics.models.prompt_learner import PromptLearner, context_from_words, random_context
from perceptmetrics.models.views import Views
from perceptmetrics.spec import MetricSpec
from perceptmetrics.spec.plain import to_plain
from perceptmetrics.weights.layouts import load_strictly, weight_file
from perceptmetrics.weights.resolve import ResolveOptions, file_sha256, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.finetune.recipe import PromptsRecipe, Recipe
    from perceptmetrics.models.encoders import Encoder, TextEncoder
    from perceptmetrics.models.heads import Head
    from perceptmetrics.spec import AntonymHeadSpec, EncoderSpec

__all__ = ["EncoderSource", "encoder_identity", "find_source", "start"]


@dataclass(frozen=True, kw_only=True)
class EncoderSource:
    """Source of the weights that training starts from.

    Attributes:
        file: The encoder's file; None for random weights, or when `trained` holds the encoder.
        seed: Seed of random weights.
        counts_only: Whether only the shapes of the weights are needed, as for a plan.
        metric: The metric that is trained further; None for a new one.
        trained: The trained file of that metric; None when it has none, so that its head starts from scratch.
    """

    file: Path | None
    seed: int = 0
    counts_only: bool = False
    metric: MetricSpec | None = None
    trained: TunedWeights | None = None


def find_source(recipe: Recipe, spec: MetricSpec, lookup: ResolveOptions, stated: Path | None) -> EncoderSource:
    """Find the weights that training starts from.

    Args:
        recipe: The recipe.
        spec: The metric that is to be trained.
        lookup: How files are looked up.
        stated: The encoder's file, in place of the one that would be looked up.

    Raises:
        WeightsError: A file is missing and cannot be fetched.
    """
    if recipe.metric is None:
        return EncoderSource(file=stated or resolve(spec.encoder.weights, lookup))
    metric, exported = find_spec(replace(lookup, metric=recipe.metric))
    files = Files(lookup=lookup, trained=exported, encoder=stated)
    is_published = exported is not None or metric.trained_file is not None
    trained = open_trained(metric, files) if is_published else None
    return EncoderSource(file=encoder_file(metric, trained, files), metric=metric, trained=trained)


def encoder_identity(spec: EncoderSpec, source: EncoderSource) -> str:
    """Identity of an encoder: the same text exactly if architecture and weights are the same."""
    weights = [f"random {source.seed}" if source.file is None else file_sha256(weight_file(source.file))]
    if source.trained is not None:
        weights.append(file_sha256(source.trained.path))
    plain = to_plain(replace(spec, lora=None, in_trained_file=False))
    return f"{json.dumps({name: plain[name] for name in plain if name != 'weights'})} {' '.join(weights)}"


def start(recipe: Recipe, specs: Sequence[MetricSpec], source: EncoderSource, seed: int) -> Learner:
    """Build the model to be trained.

    Args:
        recipe: The recipe.
        specs: The metrics: one for each data set, or a single one for all.
        source: Source of the encoder's weights.
        seed: Seed of random initial weights.

    Returns:
        The learner, on the CPU. What `recipe.train` names is trainable, everything else frozen.

    Raises:
        WeightsError: The encoder's file does not fit.
    """
    origin = source.metric or specs[0]
    encoders = open_encoders(origin, source.trained, source.file, Placement(), source.seed)
    tensors, regressor = split_tensors(source.trained)
    with torch.device("meta") if source.counts_only else contextlib.nullcontext():
        text = encoders.text_encoder() if recipe.prompts is not None else None
        encoder = encoders.image_encoder()
    with seeded(seed):
        material = Material(encoders, tensors, origin=origin.name, seed=seed)
        parts = [(build_head(spec.head.untrained(), material), Pool(spec.pool)) for spec in specs]
        if recipe.lora is not None:
            attach_lora(encoder, recipe.lora)
    metrics = [
        Metric(spec, Views(spec.views, recipe.seed), encoder, head, pool)
        for spec, (head, pool) in zip(specs, parts, strict=True)
    ]
    for _, pool in parts if regressor else ():
        load_strictly(pool.regressor or nn.Sequential(), regressor, origin.name)
    heads = [min(index, len(metrics) - 1) for index in range(len(recipe.data))]
    prompts = None if recipe.prompts is None or text is None else _prompts(specs[0], recipe.prompts, text, seed)
    learner = Learner([metric.open() for metric in metrics], heads, prompts)
    set_trainable(learner, recipe)
    if not any(weight.requires_grad for weight in learner.parameters()):
        raise InvalidSpecError(
            f"train: {recipe.train} finds nothing to train in {origin.name!r}: its head has no weights. State train: "
            "full or train: lora."
        )
    return learner


def set_trainable(learner: Learner, recipe: Recipe, *, heads_only: bool = False) -> None:
    """Make trainable what a recipe trains, and freeze everything else; with `heads_only` no encoder is trained."""
    learner.requires_grad_(False)
    for metric in learner.metrics:
        for weight in cast("Head", metric.head).trained_parameters():
            weight.requires_grad_(True)
        metric.pool.requires_grad_(True)
    if learner.prompts is not None:
        learner.prompts.context.requires_grad_(True)
    encoder = learner.metric(0).encoder
    if not heads_only and recipe.train == "full":
        encoder.requires_grad_(True)
        for part in recipe.frozen_parts:
            _freeze(encoder, part)
    if not heads_only and recipe.train == "lora":
        for name, parameter in encoder.named_parameters():
            parameter.requires_grad_(".adapters." in name)


def _freeze(encoder: Encoder, part: str) -> None:
    """Freeze one part of the encoder."""
    names = {name.removeprefix(encoder.library_prefix): weight for name, weight in encoder.named_parameters()}
    chosen = [weight for name, weight in names.items() if f"{name}.".startswith(f"{part}.")]
    if not chosen:
        parts = {".".join(name.split(".")[:2]) for name in names}
        raise InvalidOptionError(f"encoder.frozen: no weight belongs to {part!r}. {nearest_names(part, parts)}")
    for weight in chosen:
        weight.requires_grad_(False)


def _prompts(spec: MetricSpec, recipe: PromptsRecipe, text: TextEncoder, seed: int) -> PromptLearner | None:
    """The learned prompts; None if the texts stay unchanged."""
    head = cast("AntonymHeadSpec", spec.head)  # what recipes with prompts make
    if head.context is None:
        return None
    prompts = {"all": None, "pair": len(head.pairs), "none": 2 * len(head.pairs)}[recipe.shared]
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
