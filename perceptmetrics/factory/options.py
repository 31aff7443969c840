"""Options of `create_metric` that change a specification before anything is built.

Pure data in, pure data out: which options a metric takes follows from the parts of its specification.
"""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import Any, get_args

from perceptmetrics.errors import InvalidOptionError, nearest_names
from perceptmetrics.metrics.clip_backbones import OPENAI_CLIP_WEIGHTS, openai_clip
from perceptmetrics.models.prompts import PYIQA_PAIRS, PromptsOption, fill_template, resolve_prompts
from perceptmetrics.spec import (
    Aggregation,
    AntonymHeadSpec,
    BackboneSpec,
    CosineHeadSpec,
    CropMode,
    CropsView,
    HubFile,
    MetricSpec,
    MlpHeadSpec,
    PoolSpec,
    PositionalEmbedding,
    RegressorSpec,
)

__all__ = ["apply_options", "fetch_options", "pin_revision"]

_REGRESSOR_HIDDEN = (128, 128)  # CLIP-IQA's code; CLIP-UIQA


def apply_options(spec: MetricSpec, options: dict[str, Any]) -> MetricSpec:
    """Apply a metric's options to its specification.

    Args:
        spec: The registered specification.
        options: Options by name. Metrics with antonym prompts take `prompts`, `prompt` (a single one, compared by
            plain cosine), `template`, `backbone` and `positional_embedding`, those of them with several views
            `aggregation` and `regressor`; metrics that look at crops, `crops` and `crop_mode`; those that map raw
            outputs to a range, `raw`.

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
    if any(options.get(name) is not None for name in ("prompts", "prompt", "template")):
        spec = _with_prompts(spec, options.get("prompts"), options.get("prompt"), options.get("template"))
    if options.get("regressor") or options.get("aggregation") is not None:
        spec = _with_pool(spec, options.get("aggregation") or "mean", regressor=bool(options.get("regressor")))
    if options.get("crops") is not None or options.get("crop_mode") is not None:
        spec = _with_crops(spec, options.get("crops"), options.get("crop_mode"))
    raw = options.get("raw")
    if raw is not None and not isinstance(raw, bool):
        raise InvalidOptionError(f"raw= must be True or False, got {raw!r}.")
    return _with_raw_scores(spec) if raw else spec


def _options_of(spec: MetricSpec) -> tuple[str, ...]:
    texts = isinstance(spec.head, AntonymHeadSpec) and spec.head.context is None
    antonym = ("prompts", "prompt", "template", "backbone", "positional_embedding") if texts else ()
    views = ("aggregation", "regressor") if texts and len(spec.views.views) > 1 else ()
    crops = ("crops", "crop_mode") if any(isinstance(view, CropsView) for view in spec.views.views) else ()
    raw = ("raw",) if spec.score.map in ("affine", "softmax") else ()
    return (*antonym, *views, *crops, *raw)


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
        place = "lie beside its specification" if source is None else f"come from the package {source.package!r}"
        raise InvalidOptionError(
            f"revision= chooses a commit on the Hub, but the weights of {spec.name!r} {place}. Leave it out."
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
    positional_embedding = spec.backbone.positional_embedding or "interpolate"
    if name is not None:
        return replace(spec, backbone=openai_clip(name, positional_embedding))
    from perceptmetrics.models.encoders.open_clip_tags import (
        find_tag,  # open_clip brings PyTorch, which lists of metrics do without
    )

    found = find_tag(str(architecture))
    if found is None:
        raise InvalidOptionError(
            f"backbone= must name an OpenAI CLIP, or an architecture and a tag of open_clip such as "
            f"'ViT-B-32/laion2b_s34b_b79k'; got {architecture!r}. "
            f"{nearest_names(str(architecture), OPENAI_CLIP_WEIGHTS)}"
        )
    backbone = BackboneSpec(
        library="open_clip",
        architecture=found.architecture,
        quick_gelu=found.quick_gelu,
        weights=found.weights,
        positional_embedding=positional_embedding,
    )
    return replace(spec, backbone=backbone, views=replace(spec.views, mean=found.mean, std=found.std))


def _with_positional_embedding(spec: MetricSpec, mode: Any) -> MetricSpec:
    if mode not in get_args(PositionalEmbedding):
        raise InvalidOptionError(f"positional_embedding= must be one of {get_args(PositionalEmbedding)}, got {mode!r}.")
    return replace(spec, backbone=replace(spec.backbone, positional_embedding=mode))


def _with_crops(spec: MetricSpec, count: Any, mode: Any) -> MetricSpec:
    if count is not None and (isinstance(count, bool) or not isinstance(count, Integral) or count < 1):
        raise InvalidOptionError(f"crops= must be a positive number of crops, got {count!r}.")
    if mode is not None and mode not in get_args(CropMode):
        raise InvalidOptionError(f"crop_mode= must be one of {get_args(CropMode)}, got {mode!r}.")
    views = tuple(
        replace(view, count=view.count if count is None else int(count), mode=view.mode if mode is None else mode)
        if isinstance(view, CropsView)
        else view
        for view in spec.views.views
    )
    return replace(spec, views=replace(spec.views, views=views))


def _with_raw_scores(spec: MetricSpec) -> MetricSpec:
    score = replace(spec.score, map="identity", scale=1.0, shift=0.0, lower=None, upper=None)
    return replace(spec, score=score)


def _with_prompts(
    spec: MetricSpec, prompts: PromptsOption | None, prompt: str | None, template: str | None
) -> MetricSpec:
    if prompt is not None:
        if prompts is not None:
            raise InvalidOptionError("prompt= is a single text for the plain cosine, prompts= are antonyms; give one.")
        return _with_single_prompt(spec, prompt, template)
    if isinstance(prompts, str) and prompts == "pyiqa":
        if template is not None:
            raise InvalidOptionError("prompts='pyiqa' are whole texts, which take no template=; leave it out.")
        head = AntonymHeadSpec(pairs=PYIQA_PAIRS, average=True)
        return _with_head(spec, head, labels=())
    pairs = resolve_prompts("quality" if prompts is None else prompts, template)
    labels = tuple(pair.name for pair in pairs) if len(pairs) > 1 else ()
    return _with_head(spec, AntonymHeadSpec(pairs=pairs), labels)


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


def _with_pool(spec: MetricSpec, aggregation: Any, *, regressor: bool) -> MetricSpec:
    """Aggregate views otherwise, and let a regressor read the prompt pairs (CLIP-UIQA)."""
    if aggregation not in get_args(Aggregation):
        raise InvalidOptionError(f"aggregation= must be one of {get_args(Aggregation)}, got {aggregation!r}.")
    if not regressor:
        if aggregation == "concat":
            raise InvalidOptionError("aggregation='concat' needs regressor=True, which reads the views side by side.")
        return spec
    if not isinstance(spec.head, AntonymHeadSpec):
        raise InvalidOptionError("regressor= goes with antonym prompts.")
    outputs = 1 if spec.head.average else len(spec.head.pairs)
    inputs = outputs * (len(spec.views.views) if aggregation == "concat" else 1)
    pool = PoolSpec(
        aggregation=aggregation, regressor=RegressorSpec(widths=(inputs, *_REGRESSOR_HIDDEN, 1), weights=None)
    )
    return replace(spec, pool=pool, score=replace(spec.score, labels=(), strict_range=False))


def _with_head(spec: MetricSpec, head: AntonymHeadSpec, labels: tuple[str, ...]) -> MetricSpec:
    pairs = "; ".join(f"{pair.positive!r} against {pair.negative!r}" for pair in head.pairs)
    card = replace(
        spec.card, summary=f"How much closer an image is to one prompt than to its antonym in CLIP: {pairs}."
    )
    return replace(spec, head=head, score=replace(spec.score, labels=labels), card=card)
