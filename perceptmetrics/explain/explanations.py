"""Explain the scores of images by every method that their metric supports."""

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
from perceptmetrics.explain.heads import Head, headed_encoder
from perceptmetrics.explain.importance import head_importance
from perceptmetrics.explain.results import ExplainedHead, ExplainedImage, Explanations
from perceptmetrics.explain.saliency import check_differentiable, saliency_map
from perceptmetrics.functional.image import resize, shrink_to_long_side
from perceptmetrics.images.decode import decode_ahead
from perceptmetrics.images.find import find_images
from perceptmetrics.images.load import load_pixels, to_unit_float
from perceptmetrics.models.encoders import Encoder
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import first_failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from perceptmetrics.models.metric import Metric

__all__ = ["METHODS", "ExplainMethod", "explain_images"]

ExplainMethod = Literal["attention", "saliency", "crops"]
METHODS: tuple[ExplainMethod, ...] = ("attention", "saliency", "crops")


def explain_images(
    metric: Metric,
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    methods: Sequence[ExplainMethod] = METHODS,
    heads: Sequence[Head] | int = 3,
    pretrained: Encoder | None = None,
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
        images: One or more files, folders or patterns.
        methods: The methods to use. If the metric does not support one of several methods, it is left out with a note;
            a single unsupported method is an error.
        heads: The heads to explain, or their number: then the most important ones for these images, by an estimate.
        pretrained: The encoder before training, whose attention is shown beside the metric's; None for none.
        label: The score to explain, for a metric with labels; None for the highest one of each image.
        show: Largest number of images to explain: those whose predictions the heads change most, or the first ones.
        max_side: Longest side of maps and images, in pixels.
        saliency_side: Longest side, in pixels, to which images are shrunk for their saliency.
        samples: Number of noisy copies of SmoothGrad.
        seed: Seed of the noise.
        progress: Called with the current step and the completed fraction of it, in [0, 1].

    Returns:
        The explanations.

    Raises:
        InvalidOptionError: A method, a head or a label is not available.
        InvalidImageError: There is no readable image.
    """
    tell = progress or (lambda _what, _fraction: None)
    possible, notes = _possible(metric, methods, estimates_heads=isinstance(heads, int))
    files = list(find_images(images))
    chosen: Sequence[Head] = ()
    if "attention" in possible:
        chosen = _strongest(metric, files, heads, tell) if isinstance(heads, int) else list(heads)
        ranked = _most_changed_first(metric, files, chosen, tell)
    else:
        ranked = _scored(metric, files)
    how = _How(possible, chosen, pretrained, label, max_side, saliency_side, samples, seed)
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
    """Options of each explanation; see `explain_images`."""

    methods: Sequence[ExplainMethod]
    heads: Sequence[Head]
    pretrained: Encoder | None
    label: str | None
    max_side: int
    saliency_side: int
    samples: int
    seed: int


@dataclass(frozen=True, eq=False)
class _Candidate:
    """Name, scores of shape (K,), and their changes by each head of the metric, if measured."""

    name: str
    scores: Tensor
    changes: Tensor | None = None


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Readable images, the first to explain first, and those that could not be read."""

    images: tuple[_Candidate, ...]
    failed: tuple[ScoredImage, ...]


def _possible(
    metric: Metric, methods: Sequence[ExplainMethod], *, estimates_heads: bool
) -> tuple[list[ExplainMethod], list[str]]:
    """The methods that a metric supports, and notes on why it does not support the others."""
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
        images=tuple(_Candidate(found.images[index], found.scores[index], found.changes[index]) for index in order),
        failed=found.failed,
    )


def _scored(metric: Metric, images: Sequence[str | os.PathLike[str]]) -> _Ranked:
    """Score the images, in the given order."""
    scored, failed = [], []
    for decoded in decode_ahead(images, options=metric.decoding):
        name = os.fspath(cast("str", decoded.source))
        if decoded.pixels is None:
            failed.append(ScoredImage(name, error=str(decoded.error)))
        else:
            scored.append(_Candidate(name, metric.score_batch(decoded.pixels[None])[0]))
    if not scored:
        raise InvalidImageError(f"There is no readable image to explain.{first_failure(failed)}")
    return _Ranked(images=tuple(scored), failed=tuple(failed))


def _explained(metric: Metric, scored: _Candidate, how: _How) -> ExplainedImage:
    image = _shrunk(metric, scored, how.max_side)
    if scored.changes is not None:
        heads = _heads(metric, image, how.heads, scored.changes, how.pretrained, how.max_side)
        image = replace(image, heads=heads)
    if "saliency" in how.methods:
        image = _with_saliency(metric, image, how)
    if "crops" in how.methods:
        image = replace(image, views=view_scores(metric, image.name, label=how.label, max_side=how.max_side))
    return image


def _shrunk(metric: Metric, scored: _Candidate, max_side: int) -> ExplainedImage:
    image = to_unit_float(load_pixels(scored.name, metric.decoding))
    shrunk = resize(image[None], canvas_size(image.shape[-2], image.shape[-1], max_side))[0].clamp(0, 1)
    pixels = shrunk.mul(255).round().byte().permute(1, 2, 0).numpy()
    return ExplainedImage(name=scored.name, pixels=pixels, scores=scored.scores)


def _heads(
    metric: Metric,
    image: ExplainedImage,
    heads: Sequence[Head],
    changes: Tensor,
    pretrained: Encoder | None,
    side: int,
) -> tuple[ExplainedHead, ...]:
    own = attention_maps(metric, image.name, heads, max_side=side)
    before: Sequence[AttentionMap | None] = [None] * len(heads)
    if pretrained is not None:
        before = attention_maps(metric, image.name, heads, encoder=pretrained, max_side=side)
    return tuple(
        ExplainedHead(head=head, change=changes[head], own=now, pretrained=then)
        for head, now, then in zip(heads, own, before, strict=True)
    )


def _with_saliency(metric: Metric, image: ExplainedImage, how: _How) -> ExplainedImage:
    """Add the saliency, smoothed because single pixels are noise to the eye."""
    pixels = to_unit_float(load_pixels(image.name, metric.decoding))
    shrunk = shrink_to_long_side(pixels[None], how.saliency_side)[0].clamp(0, 1)
    size = None if shrunk.shape == pixels.shape else (int(shrunk.shape[-2]), int(shrunk.shape[-1]))
    source = image.name if size is None else shrunk
    found = saliency_map(metric, source, label=how.label, samples=how.samples, seed=how.seed)
    values = resize(_blurred(found.values)[None, None], (image.pixels.shape[0], image.pixels.shape[1]))[0, 0]
    return replace(image, saliency=replace(found, values=values), saliency_size=size)


def _blurred(values: Tensor) -> Tensor:
    """Blur by a Gaussian whose standard deviation is 1 % of the longer side."""
    sigma = max(1.0, max(values.shape) / 100)
    radius = min(int(3 * sigma), min(values.shape) - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=values.dtype)
    weights = torch.exp(-(offsets**2) / (2 * sigma**2))
    weights /= weights.sum()
    padded = F.pad(values[None, None], (radius,) * 4, mode="reflect")
    blurred: Tensor = F.conv2d(F.conv2d(padded, weights[None, None, None]), weights[None, None, :, None])[0, 0]
    return blurred
