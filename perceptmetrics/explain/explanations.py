"""Explain the scores of images in every way that their metric allows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.explain.attention import AttentionMap, attention_maps
from perceptmetrics.explain.canvas import canvas_size
from perceptmetrics.explain.crops import check_several_views, view_scores
from perceptmetrics.explain.explained import ExplainedHead, ExplainedImage, Explanations
from perceptmetrics.explain.heads import Head, headed_encoder
from perceptmetrics.explain.importance import head_importance
from perceptmetrics.explain.saliency import check_differentiable, saliency_map
from perceptmetrics.functional.image import resize, shrink_to_long_side
from perceptmetrics.images.decode import decode_ahead
from perceptmetrics.images.load import load_image
from perceptmetrics.models.encoders import Backbone

if TYPE_CHECKING:
    from collections.abc import Callable

    from perceptmetrics.models.metric import Metric

__all__ = ["METHODS", "ExplainMethod", "explain_images"]

ExplainMethod = Literal["attention", "saliency", "crops"]
METHODS: tuple[ExplainMethod, ...] = ("attention", "saliency", "crops")


def explain_images(
    metric: Metric,
    images: Sequence[str | os.PathLike[str]],
    *,
    methods: Sequence[ExplainMethod] = METHODS,
    heads: Sequence[Head] | int = 3,
    untouched: Backbone | None = None,
    label: str | None = None,
    show: int = 12,
    max_side: int = 512,
    saliency_side: int = 1024,
    samples: int = 8,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> Explanations:
    """Explain the scores of images.

    Args:
        metric: Any metric.
        images: Image files.
        methods: What to look at. A single method that the metric does not allow is an error, one of several is left
            out with a note.
        heads: Heads to look at, or how many: those that matter most for these images, by an estimate.
        untouched: The encoder before training, whose attention stands beside the metric's; None for none.
        label: Which score of a metric with several; None for the highest one of each image.
        show: Most images to explain; of more, those whose predictions the heads change most, or the first ones.
        max_side: Longest side of maps and pictures, in pixels.
        saliency_side: Images with a longer side are shrunk to it, in pixels, for their saliency.
        samples: Number of noisy copies of SmoothGrad.
        seed: Seed of their noise.
        progress: Told what is being done and the share of it that is done, in [0, 1].

    Returns:
        The explanations.

    Raises:
        InvalidOptionError: A method, a head or a label is not possible.
        InvalidImageError: There is no readable image.
    """
    tell = progress or (lambda _what, _share: None)
    possible, notes = _possible(metric, methods, estimates_heads=isinstance(heads, int))
    chosen: Sequence[Head] = ()
    if "attention" in possible:
        chosen = _strongest(metric, images, heads, tell) if isinstance(heads, int) else list(heads)
        ranked = _most_changed_first(metric, images, chosen, tell)
    else:
        ranked = _scored(metric, images)
    how = _How(possible, chosen, untouched, label, max_side, saliency_side, samples, seed)
    explained = []
    for number, image in enumerate(ranked.images[:show]):
        tell("images", number / min(show, len(ranked.images)))
        explained.append(_explained(metric, image, how))
    tell("images", 1.0)
    return Explanations(
        metric=metric.metric_name,
        labels=metric.labels,
        images=tuple(explained),
        left_out=tuple(image.name for image in ranked.images[show:]),
        failed=ranked.failed,
        notes=tuple(notes),
    )


@dataclass(frozen=True, eq=False)
class _How:
    """What is said about each image; see `explain_images`."""

    methods: Sequence[ExplainMethod]
    heads: Sequence[Head]
    untouched: Backbone | None
    label: str | None
    max_side: int
    saliency_side: int
    samples: int
    seed: int


@dataclass(frozen=True, eq=False)
class _ScoredImage:
    """Name, scores of shape (K,), and by how much each head of the metric changes them, if that was measured."""

    name: str
    scores: Tensor
    changes: Tensor | None = None


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Readable images, those to explain first, and names of the others with the reasons."""

    images: tuple[_ScoredImage, ...]
    failed: tuple[tuple[str, str], ...]


def _possible(
    metric: Metric, methods: Sequence[ExplainMethod], *, estimates_heads: bool
) -> tuple[list[ExplainMethod], list[str]]:
    """Those of the methods that a metric allows, and why it does not allow the others."""
    checks: dict[ExplainMethod, Sequence[Callable[[Metric], object]]] = {
        "attention": (headed_encoder, check_differentiable) if estimates_heads else (headed_encoder,),
        "saliency": (check_differentiable,),
        "crops": (check_several_views,),
    }
    possible, notes = [], []
    for method in methods:
        if method not in checks:
            raise InvalidOptionError(f"methods must be among {METHODS}, got {method!r}.")
        try:
            for check in checks[method]:
                check(metric)
        except InvalidOptionError as error:
            if len(methods) == 1:
                raise
            notes.append(f"No {method}: {error}")
        else:
            possible.append(method)
    return possible, notes


def _strongest(
    metric: Metric, images: Sequence[str | os.PathLike[str]], count: int, tell: Callable[[str, float], None]
) -> list[Head]:
    return head_importance(metric, images, method="gradient", progress=partial(tell, "all heads")).strongest(count)


def _most_changed_first(
    metric: Metric,
    images: Sequence[str | os.PathLike[str]],
    heads: Sequence[Head],
    tell: Callable[[str, float], None],
) -> _Ranked:
    found = head_importance(metric, images, heads=heads, progress=partial(tell, "heads"))
    order = found.most_changed(heads, len(found.images))
    return _Ranked(
        images=tuple(_ScoredImage(found.images[place], found.scores[place], found.changes[place]) for place in order),
        failed=found.failed,
    )


def _scored(metric: Metric, images: Sequence[str | os.PathLike[str]]) -> _Ranked:
    """In the order in which they are given."""
    scored, failed = [], []
    for decoded in decode_ahead(images):
        name = os.fspath(cast("str", decoded.source))
        if decoded.pixels is None:
            failed.append((name, str(decoded.error)))
        else:
            scored.append(_ScoredImage(name, metric.score_batch(decoded.pixels[None])[0]))
    if not scored:
        raise InvalidImageError(
            f"There is no readable image to explain.{f' The first: {failed[0][1]}' if failed else ''}"
        )
    return _Ranked(images=tuple(scored), failed=tuple(failed))


def _explained(metric: Metric, scored: _ScoredImage, how: _How) -> ExplainedImage:
    image = _pictured(scored, how.max_side)
    if scored.changes is not None:
        looks = _heads(metric, image, how.heads, scored.changes, how.untouched, how.max_side)
        image = replace(image, heads=looks)
    if "saliency" in how.methods:
        image = _with_saliency(metric, image, how)
    if "crops" in how.methods:
        image = replace(image, views=view_scores(metric, image.name, label=how.label, max_side=how.max_side))
    return image


def _pictured(scored: _ScoredImage, max_side: int) -> ExplainedImage:
    image = load_image(scored.name)
    shrunk = resize(image[None], canvas_size(image.shape[-2], image.shape[-1], max_side))[0].clamp(0, 1)
    pixels = shrunk.mul(255).round().byte().permute(1, 2, 0).numpy()
    return ExplainedImage(name=scored.name, pixels=pixels, scores=scored.scores)


def _heads(
    metric: Metric, image: ExplainedImage, heads: Sequence[Head], changes: Tensor, untouched: Backbone | None, side: int
) -> tuple[ExplainedHead, ...]:
    own = attention_maps(metric, image.name, heads, max_side=side)
    before: Sequence[AttentionMap | None] = [None] * len(heads)
    if untouched is not None:
        before = attention_maps(metric, image.name, heads, backbone=untouched, max_side=side)
    return tuple(
        ExplainedHead(head=head, change=changes[head], own=now, untouched=then)
        for head, now, then in zip(heads, own, before, strict=True)
    )


def _with_saliency(metric: Metric, image: ExplainedImage, how: _How) -> ExplainedImage:
    """Its saliency, smoothed as much as the eye does: single pixels are noise."""
    pixels = load_image(image.name)
    shrunk = shrink_to_long_side(pixels[None], how.saliency_side)[0].clamp(0, 1)
    size = None if shrunk.shape == pixels.shape else (int(shrunk.shape[-2]), int(shrunk.shape[-1]))
    source = image.name if size is None else shrunk
    found = saliency_map(metric, source, label=how.label, samples=how.samples, seed=how.seed)
    values = resize(_blurred(found.values)[None, None], (image.pixels.shape[0], image.pixels.shape[1]))[0, 0]
    return replace(image, saliency=replace(found, values=values), saliency_size=size)


def _blurred(values: Tensor) -> Tensor:
    """With a Gaussian of a hundredth of the longer side."""
    sigma = max(1.0, max(values.shape) / 100)
    radius = min(int(3 * sigma), min(values.shape) - 1)
    places = torch.arange(-radius, radius + 1, dtype=values.dtype)
    weights = torch.exp(-(places**2) / (2 * sigma**2))
    weights /= weights.sum()
    padded = F.pad(values[None, None], (radius,) * 4, mode="reflect")
    blurred: Tensor = F.conv2d(F.conv2d(padded, weights[None, None, None]), weights[None, None, :, None])[0, 0]
    return blurred
