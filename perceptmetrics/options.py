"""Options of `create_metric` that change a specification before anything is built.

Pure data in, pure data out: which options a metric takes follows from the parts of its specification.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

from perceptmetrics.errors import InvalidOptionError, nearest_names
from perceptmetrics.metrics.clip_backbones import OPENAI_CLIP_WEIGHTS, openai_clip
from perceptmetrics.prompts import PYIQA_PAIRS, PromptsOption, resolve_prompts
from perceptmetrics.spec import (
    AntonymHeadSpec,
    CropMode,
    CropsView,
    HubFile,
    MetricSpec,
    MlpHeadSpec,
    PositionalEmbedding,
)

__all__ = ["apply_options", "fetch_options", "pin_revision"]


def apply_options(spec: MetricSpec, options: dict[str, Any]) -> MetricSpec:
    """Apply a metric's options to its specification.

    Args:
        spec: The registered specification.
        options: Options by name. Metrics with antonym prompts take `prompts`, `backbone` and
            `positional_embedding`; those that look at crops, `crops` and `crop_mode`; those that map raw outputs
            to a range, `raw`.

    Returns:
        The changed specification.

    Raises:
        InvalidOptionError: The metric does not take an option, or its value is not allowed.
    """
    allowed = _options_of(spec)
    for name in options:
        if name not in allowed:
            takes = nearest_names(name, allowed) if allowed else "It takes none."
            raise InvalidOptionError(f"{spec.name!r} has no option {name!r}. {takes}")
    if options.get("backbone") is not None:
        spec = _with_backbone(spec, options["backbone"])
    if options.get("positional_embedding") is not None:
        spec = _with_positional_embedding(spec, options["positional_embedding"])
    if options.get("prompts") is not None:
        spec = _with_prompts(spec, options["prompts"])
    if options.get("crops") is not None or options.get("crop_mode") is not None:
        spec = _with_crops(spec, options.get("crops"), options.get("crop_mode"))
    return _with_raw_scores(spec) if options.get("raw") else spec


def _options_of(spec: MetricSpec) -> tuple[str, ...]:
    antonym = ("prompts", "backbone", "positional_embedding") if isinstance(spec.head, AntonymHeadSpec) else ()
    crops = ("crops", "crop_mode") if any(isinstance(view, CropsView) for view in spec.views.views) else ()
    raw = ("raw",) if spec.score.map in ("affine", "softmax") else ()
    return (*antonym, *crops, *raw)


def pin_revision(spec: MetricSpec, revision: str | None) -> MetricSpec:
    """Take the encoder's file from another revision of its Hub repository.

    Args:
        spec: The specification.
        revision: Commit hash, tag or branch; None changes nothing.

    Returns:
        The changed specification; size and hash of the other revision are unknown.

    Raises:
        InvalidOptionError: The encoder does not come from the Hub.
    """
    if revision is None:
        return spec
    trained = _trained_file_with_encoder(spec)
    source = spec.backbone.weights if trained is None else trained.weights
    if not isinstance(source, HubFile):
        raise InvalidOptionError(
            f"revision= chooses a commit on the Hub, but the weights of {spec.name!r} come from the package "
            f"{source.package!r}. Leave it out."
        )
    if revision == source.revision:
        return spec
    other = replace(source, revision=revision, sha256=None, size=None)
    if trained is not None:
        return replace(spec, head=replace(trained, weights=other))
    return replace(spec, backbone=replace(spec.backbone, weights=other))


def _trained_file_with_encoder(spec: MetricSpec) -> MlpHeadSpec | None:
    """The head whose trained file holds the encoder too; None where the encoder has a file of its own."""
    return spec.head if isinstance(spec.head, MlpHeadSpec) and spec.backbone.in_trained_file else None


def fetch_options(backbone: str | None, revision: str | None) -> str:
    """Options of `perceptmetrics fetch` that get the files of a changed specification."""
    stated = {"--backbone": backbone, "--revision": revision}
    return "".join(f" {option} {value}" for option, value in stated.items() if value is not None)


def _with_backbone(spec: MetricSpec, architecture: object) -> MetricSpec:
    canonical = {name.lower().replace("/", "-"): name for name in OPENAI_CLIP_WEIGHTS}
    name = canonical.get(str(architecture).lower().replace("/", "-"))
    if name is None:
        raise InvalidOptionError(
            f"backbone= must name an OpenAI CLIP, got {architecture!r}. "
            f"{nearest_names(str(architecture), OPENAI_CLIP_WEIGHTS)}"
        )
    positional_embedding = spec.backbone.positional_embedding or "interpolate"
    return replace(spec, backbone=openai_clip(name, positional_embedding))


def _with_positional_embedding(spec: MetricSpec, mode: Any) -> MetricSpec:
    if mode not in get_args(PositionalEmbedding):
        raise InvalidOptionError(f"positional_embedding= must be one of {get_args(PositionalEmbedding)}, got {mode!r}.")
    return replace(spec, backbone=replace(spec.backbone, positional_embedding=mode))


def _with_crops(spec: MetricSpec, count: Any, mode: Any) -> MetricSpec:
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        raise InvalidOptionError(f"crops= must be a positive number of crops, got {count!r}.")
    if mode is not None and mode not in get_args(CropMode):
        raise InvalidOptionError(f"crop_mode= must be one of {get_args(CropMode)}, got {mode!r}.")
    views = tuple(
        replace(view, count=view.count if count is None else count, mode=view.mode if mode is None else mode)
        if isinstance(view, CropsView)
        else view
        for view in spec.views.views
    )
    return replace(spec, views=replace(spec.views, views=views))


def _with_raw_scores(spec: MetricSpec) -> MetricSpec:
    score = replace(spec.score, map="identity", scale=1.0, shift=0.0, lower=None, upper=None)
    return replace(spec, score=score)


def _with_prompts(spec: MetricSpec, prompts: PromptsOption) -> MetricSpec:
    if prompts == "pyiqa":
        head = AntonymHeadSpec(pairs=PYIQA_PAIRS, average=True)
        return _with_head(spec, head, labels=())
    pairs = resolve_prompts(prompts)
    labels = tuple(pair.name for pair in pairs) if len(pairs) > 1 else ()
    return _with_head(spec, AntonymHeadSpec(pairs=pairs), labels)


def _with_head(spec: MetricSpec, head: AntonymHeadSpec, labels: tuple[str, ...]) -> MetricSpec:
    pairs = "; ".join(f"{pair.positive!r} against {pair.negative!r}" for pair in head.pairs)
    card = replace(
        spec.card, summary=f"How much closer an image is to one prompt than to its antonym in CLIP: {pairs}."
    )
    return replace(spec, head=head, score=replace(spec.score, labels=labels), card=card)
