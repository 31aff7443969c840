"""Compute which pixels a score depends on, from its gradient, for any metric.

- Gradient x input: the gradient of the score with respect to the pixels, times the pixels.
- SmoothGrad (Smilkov et al., 2017): the same with the mean gradient of noisy copies of the image.

Both are signed and in the unit of the score: the first-order loss of the score if a pixel turned black.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor, nn

from perceptmetrics.errors import InvalidOptionError, nearest_names
from perceptmetrics.images.load import load_pixels, to_unit_float

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.metric import Metric

__all__ = ["Saliency", "SaliencyMethod", "check_differentiable", "output_index", "saliency_map"]

SaliencyMethod = Literal["gradient_x_input", "smoothgrad"]

_VIEWS = 2  # views per backward pass: one takes 0.8 GB in CLIP's ViT-L/14


@dataclass(frozen=True, kw_only=True, eq=False)
class Saliency:
    """A saliency map.

    Attributes:
        score: The explained score.
        label: Label of the score; empty for a metric with a single score.
        values: Shape (H, W), signed, in the unit of the score.
        method: How it was computed.
    """

    score: float
    label: str
    values: Tensor
    method: SaliencyMethod


def saliency_map(
    metric: Metric,
    image: ImageSource,
    *,
    method: SaliencyMethod = "smoothgrad",
    label: str | None = None,
    samples: int = 8,
    noise: float = 0.1,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Saliency:
    """Compute which pixels the score of an image depends on.

    Args:
        metric: Any differentiable metric.
        image: A single image; see `Metric.score`.
        method: See the module.
        label: The score to explain, for a metric with labels; None for the highest one.
        samples: Number of noisy copies of SmoothGrad.
        noise: Standard deviation of the noise, as a fraction of the range of the image's values.
        seed: Seed of the noise.
        progress: Called repeatedly with the completed fraction of the work, in [0, 1].

    Returns:
        The map.

    Raises:
        InvalidOptionError: An option is invalid, or the metric has no gradients.
        InvalidImageError: The image cannot be read.

    Examples:
        >>> import torch, perceptmetrics
        >>> from perceptmetrics.explain import saliency_map
        >>> metric = perceptmetrics.create_metric("lite_iqa")
        >>> saliency_map(metric, torch.rand(3, 64, 96), samples=2).values.shape
        torch.Size([64, 96])
    """
    if method not in get_args(SaliencyMethod):
        raise InvalidOptionError(f"method must be one of {get_args(SaliencyMethod)}, got {method!r}.")
    if samples < 1 or noise < 0:
        raise InvalidOptionError(f"samples must be at least 1 and noise at least 0, got {samples!r} and {noise!r}.")
    check_differentiable(metric)
    loaded = load_pixels(image, metric.decoding)
    scores = metric.score_batch(loaded[None])[0]
    pixels = to_unit_float(loaded).to(metric.device)
    index = output_index(metric, scores, label)
    copies = _noisy_copies(pixels, samples, noise, seed) if method == "smoothgrad" else iter([pixels])
    count = samples if method == "smoothgrad" else 1
    total = torch.zeros_like(pixels)
    for number, copy in enumerate(copies, start=1):
        total += _gradient(metric, copy, index)
        if progress is not None:
            progress(number / count)
    return Saliency(
        score=float(scores[index]),
        label=metric.labels[index] if metric.labels else "",
        values=(total / count * pixels).sum(dim=0).cpu(),
        method=method,
    )


def check_differentiable(metric: Metric) -> None:
    """Refuse a metric without gradients.

    Raises:
        InvalidOptionError: The encoder is quantised.
    """
    if any(type(parameter) is not nn.Parameter for parameter in metric.encoder.parameters()):
        raise InvalidOptionError(
            f"{metric.metric_name!r} is quantised, so it has no gradients. Create it without precision='int8'."
        )


def output_index(metric: Metric, scores: Tensor, label: str | None) -> int:
    """Return the index of the score to explain.

    Args:
        metric: The metric.
        scores: Shape (K,): the scores of an image.
        label: Label of the score; None for the highest one, or for a metric with a single score.

    Raises:
        InvalidOptionError: The metric has no such label.
    """
    if label is None:
        return int(scores.argmax())
    if label not in metric.labels:
        known = nearest_names(label, metric.labels) if metric.labels else "It has a single score; leave the label out."
        raise InvalidOptionError(f"{metric.metric_name!r} has no score {label!r}. {known}")
    return metric.labels.index(label)


def _gradient(metric: Metric, pixels: Tensor, index: int) -> Tensor:
    """Compute the gradient of a score, a few views at a time to save memory."""
    variable = pixels.detach().clone().requires_grad_()
    with torch.autocast(metric.device.type, enabled=False):
        with torch.enable_grad():
            groups = metric.views(variable[None])
        with torch.no_grad():
            features = metric.encode(groups)
        with torch.enable_grad():
            features = [group.requires_grad_() for group in features]
            score = metric.forward_features(features, 1)[0, index]
            to_features = torch.autograd.grad(score, features)
            to_groups = [_to_views(metric, group, own) for group, own in zip(groups, to_features, strict=True)]
            (gradient,) = torch.autograd.grad(groups, variable, to_groups)
    return gradient


def _to_views(metric: Metric, group: Tensor, to_features: Tensor) -> Tensor:
    """Propagate the gradient with respect to features, (V, D), back to their views, shape (V, 3, h, w)."""
    gradients: list[Tensor] = []
    parts = zip(torch.split(group, _VIEWS), torch.split(to_features, _VIEWS), strict=True)
    for views, own in parts:
        leaf = views.detach().requires_grad_()
        (features,) = metric.encode([leaf])
        gradients += torch.autograd.grad(features, leaf, own)
    return torch.cat(gradients)


def _noisy_copies(pixels: Tensor, samples: int, noise: float, seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)  # on the CPU: the same noise on every device
    scale = noise * float(pixels.max() - pixels.min())
    for _ in range(samples):
        yield pixels + scale * torch.randn(pixels.shape, generator=generator).to(pixels.device)
