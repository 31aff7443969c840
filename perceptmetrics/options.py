"""Options of `create_metric` that change a specification before anything is built.

Pure data in, pure data out: which options a metric takes follows from the parts of its specification.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

from perceptmetrics.errors import InvalidOptionError, nearest_names
from perceptmetrics.metrics.clip_backbones import OPENAI_CLIP_WEIGHTS, openai_clip
from perceptmetrics.prompts import PYIQA_PAIRS, PromptsOption, resolve_prompts
from perceptmetrics.spec import AntonymHeadSpec, HubFile, MetricSpec, PositionalEmbedding

__all__ = ["apply_options", "fetch_options", "pin_revision"]


def apply_options(spec: MetricSpec, options: dict[str, Any]) -> MetricSpec:
    """Apply a metric's options to its specification.

    Args:
        spec: The registered specification.
        options: Options by name. Metrics with antonym prompts take `prompts`, `backbone` and
            `positional_embedding`.

    Returns:
        The changed specification.

    Raises:
        InvalidOptionError: The metric does not take an option, or its value is not allowed.
    """
    antonym = isinstance(spec.head, AntonymHeadSpec)
    allowed = ("prompts", "backbone", "positional_embedding") if antonym else ()
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
    return spec


def pin_revision(spec: MetricSpec, revision: str | None) -> MetricSpec:
    """Take the backbone's file from another revision of its Hub repository.

    Args:
        spec: The specification.
        revision: Commit hash, tag or branch; None changes nothing.

    Returns:
        The changed specification; size and hash of the other revision are unknown.

    Raises:
        InvalidOptionError: The backbone does not come from the Hub.
    """
    if revision is None:
        return spec
    source = spec.backbone.weights
    if not isinstance(source, HubFile):
        raise InvalidOptionError(
            f"revision= chooses a commit on the Hub, but the weights of {spec.name!r} come from the package "
            f"{source.package!r}. Leave it out."
        )
    if revision == source.revision:
        return spec
    other = replace(source, revision=revision, sha256=None, size=None)
    return replace(spec, backbone=replace(spec.backbone, weights=other))


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
