"""Options of metrics with prompts: other texts, another CLIP, and how several views are put together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from perceptmetrics.errors import InvalidOptionError, nearest_names
from perceptmetrics.metrics.clip_encoders import OPENAI_CLIP_WEIGHTS, openai_clip
from perceptmetrics.models.encoders.open_clip_tags import find_tag
from perceptmetrics.models.metric_options import MetricOption
from perceptmetrics.models.prompts import PYIQA_PAIRS, fill_template, resolve_prompts
from perceptmetrics.spec import (
    Aggregation,
    AntonymHeadSpec,
    ClipEncoderSpec,
    CosineHeadSpec,
    MetricSpec,
    PoolSpec,
    PositionalEmbedding,
    RegressorSpec,
)
from perceptmetrics.spec.pool import regressor_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["encoder_options", "pool_options", "prompt_options"]

_PRETRAINED = tuple(OPENAI_CLIP_WEIGHTS.values())
_REGRESSOR_HIDDEN = (128, 128)  # CLIP-IQA's code; CLIP-UIQA


def prompt_options() -> tuple[MetricOption, ...]:
    """`backbone=`, `positional_embedding=`, and `prompts=`, `prompt=`, `template=`."""
    return (
        MetricOption(("backbone",), _with_encoder),
        MetricOption(("positional_embedding",), _with_positional_embedding),
        MetricOption(("prompts", "prompt", "template"), _with_prompts),
    )


def encoder_options(metric: MetricSpec) -> tuple[MetricOption, ...]:
    """`backbone=`, for a CLIP as OpenAI trained it."""
    return (MetricOption(("backbone",), _with_encoder),) if metric.encoder.weights in _PRETRAINED else ()


def pool_options() -> tuple[MetricOption, ...]:
    """`aggregation=` and `regressor=`."""
    return (MetricOption(("aggregation", "regressor"), _with_pool),)


def _with_encoder(spec: MetricSpec, values: Mapping[str, Any]) -> MetricSpec:
    architecture = str(values["backbone"])
    canonical = {name.lower().replace("/", "-"): name for name in OPENAI_CLIP_WEIGHTS}
    name = canonical.get(architecture.lower().replace("/", "-"))
    positional_embedding: PositionalEmbedding = getattr(spec.encoder, "positional_embedding", "interpolate")
    if name is not None:
        return replace(spec, encoder=openai_clip(name, positional_embedding))
    found = find_tag(architecture)
    if found is None:
        raise InvalidOptionError(
            f"backbone= must name an OpenAI CLIP, or an architecture and a tag of open_clip such as "
            f"'ViT-B-32/laion2b_s34b_b79k'; got {values['backbone']!r}. "
            f"{nearest_names(architecture, OPENAI_CLIP_WEIGHTS)}"
        )
    encoder = ClipEncoderSpec(
        architecture=found.architecture,
        quick_gelu=found.quick_gelu,
        weights=found.weights,
        positional_embedding=positional_embedding,
    )
    return replace(spec, encoder=encoder, views=replace(spec.views, mean=found.mean, std=found.std))


def _with_positional_embedding(spec: MetricSpec, values: Mapping[str, Any]) -> MetricSpec:
    mode = values["positional_embedding"]
    if mode not in get_args(PositionalEmbedding):
        raise InvalidOptionError(f"positional_embedding= must be one of {get_args(PositionalEmbedding)}, got {mode!r}.")
    return replace(spec, encoder=replace(spec.encoder, positional_embedding=mode))  # type: ignore[call-arg]


def _with_prompts(spec: MetricSpec, values: Mapping[str, Any]) -> MetricSpec:
    prompts, prompt, template = (values.get(name) for name in ("prompts", "prompt", "template"))
    if prompt is not None:
        if prompts is not None:
            raise InvalidOptionError("prompt= is a single text for the plain cosine, prompts= are antonyms; give one.")
        return _with_single_prompt(spec, prompt, template)
    if isinstance(prompts, str) and prompts == "pyiqa":
        if template is not None:
            raise InvalidOptionError("prompts='pyiqa' are whole texts, which take no template=; leave it out.")
        return _with_pairs(spec, AntonymHeadSpec(pairs=PYIQA_PAIRS, average=True), labels=())
    pairs = resolve_prompts("quality" if prompts is None else prompts, template)
    labels = tuple(pair.name for pair in pairs) if len(pairs) > 1 else ()
    return _with_pairs(spec, AntonymHeadSpec(pairs=pairs), labels)


def _with_pairs(spec: MetricSpec, head: AntonymHeadSpec, labels: tuple[str, ...]) -> MetricSpec:
    pairs = "; ".join(f"{pair.positive!r} against {pair.negative!r}" for pair in head.pairs)
    card = replace(
        spec.card, summary=f"How much closer an image is to one prompt than to its antonym in CLIP: {pairs}."
    )
    return replace(spec, head=head, score=replace(spec.score, labels=labels), card=card)


def _with_single_prompt(spec: MetricSpec, prompt: object, template: str | None) -> MetricSpec:
    if not isinstance(prompt, str) or not prompt.strip():
        raise InvalidOptionError(f"prompt= must be a text, got {prompt!r}.")
    prompt = prompt if template is None else fill_template(template, prompt)
    return replace(
        spec,
        head=CosineHeadSpec(prompt=prompt),
        score=replace(spec.score, lower=-1.0, upper=1.0, labels=()),
        card=replace(spec.card, summary=f"Cosine between an image and the prompt {prompt!r} in CLIP (no antonym)."),
    )


def _with_pool(spec: MetricSpec, values: Mapping[str, Any]) -> MetricSpec:
    """Aggregate views otherwise, and let a regressor read the prompt pairs (CLIP-UIQA)."""
    aggregation, regressor = values.get("aggregation", "mean"), values.get("regressor", False)
    if aggregation not in get_args(Aggregation):
        raise InvalidOptionError(f"aggregation= must be one of {get_args(Aggregation)}, got {aggregation!r}.")
    if not isinstance(regressor, bool):
        raise InvalidOptionError(f"regressor= must be True or False, got {regressor!r}.")
    if not regressor:
        if aggregation == "concat":
            raise InvalidOptionError("aggregation='concat' needs regressor=True, which reads the views side by side.")
        return spec
    if not spec.head.takes_regressor:
        raise InvalidOptionError("regressor= goes with antonym prompts.")
    inputs = regressor_inputs(aggregation, spec.head.outputs, spec.views.view_count)
    pool = PoolSpec(
        aggregation=aggregation, regressor=RegressorSpec(widths=(inputs, *_REGRESSOR_HIDDEN, 1), weights=None)
    )
    return replace(spec, pool=pool, score=replace(spec.score, labels=(), strict_range=False))
