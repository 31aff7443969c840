"""Which pixels a score depends on, by its gradient; for any metric.

- Gradient x input: the gradient of the score with respect to the pixels, times the pixels.
- SmoothGrad (Smilkov et al., 2017): the same with the mean gradient of noisy copies of the image.

Both are signed, and in the unit of the score: what the score would lose, to the first order, if a pixel went black.
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

__all__ = ["Saliency", "SaliencyMethod", "check_differentiable", "output_place", "saliency_map"]

SaliencyMethod = Literal["gradient_x_input", "smoothgrad"]

_VIEWS = 2  # that are differentiated together: a view takes 0.8 GB in CLIP's ViT-L/14


@dataclass(frozen=True, kw_only=True, eq=False)
class Saliency:
    """A saliency map.

    Attributes:
        score: The score that is explained.
        label: Which of several scores it is; empty for a metric with one.
        values: Shape (H, W), signed, in the unit of the score.
        method: How it was made.
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
    """Compute where the score of an image comes from.

    Args:
        metric: Any metric that is differentiable.
        image: A single image; see `Metric.score`.
        method: See the module.
        label: Which score of a metric with several; None for the highest one.
        samples: Number of noisy copies of SmoothGrad.
        noise: Standard deviation of the noise, as a share of the image's own range of values.
        seed: Seed of the noise.
        progress: Told the share of the work that is done, in [0, 1], again and again.

    Returns:
        The map.

    Raises:
        InvalidOptionError: An option is not allowed, or the metric has no gradients.
        InvalidImageError: The image cannot be read.

    Example:
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
    loaded = load_pixels(image)
    scores = metric.score_batch(loaded[None])[0]
    pixels = to_unit_float(loaded).to(metric.device)
    place = output_place(metric, scores, label)
    copies = _noisy_copies(pixels, samples, noise, seed) if method == "smoothgrad" else iter([pixels])
    count = samples if method == "smoothgrad" else 1
    total = torch.zeros_like(pixels)
    for number, copy in enumerate(copies, start=1):
        total += _gradient(metric, copy, place)
        if progress is not None:
            progress(number / count)
    return Saliency(
        score=float(scores[place]),
        label=metric.labels[place] if metric.labels else "",
        values=(total / count * pixels).sum(dim=0).cpu(),
        method=method,
    )


def check_differentiable(metric: Metric) -> None:
    """Refuse a metric that gives no gradients.

    Raises:
        InvalidOptionError: Its encoder is quantised.
    """
    if any(type(parameter) is not nn.Parameter for parameter in metric.backbone.parameters()):
        raise InvalidOptionError(
            f"{metric.metric_name!r} is quantised, so it has no gradients. Create it without precision='int8'."
        )


def output_place(metric: Metric, scores: Tensor, label: str | None) -> int:
    """The place of the score that is to be explained.

    Args:
        metric: The metric.
        scores: Shape (K,): the scores of an image.
        label: Its name; None for the highest one, or for a metric with a single score.

    Raises:
        InvalidOptionError: There is no such label.
    """
    if label is None:
        return int(scores.argmax())
    if label not in metric.labels:
        known = nearest_names(label, metric.labels) if metric.labels else "It has a single score; leave the label out."
        raise InvalidOptionError(f"{metric.metric_name!r} has no score {label!r}. {known}")
    return metric.labels.index(label)


def _gradient(metric: Metric, pixels: Tensor, place: int) -> Tensor:
    """The gradient of a score, a few views at a time, so that not all of them have to be kept in memory."""
    variable = pixels.detach().clone().requires_grad_()
    with torch.autocast(metric.device.type, enabled=False):
        with torch.enable_grad():
            groups = metric.views(variable[None])
        with torch.no_grad():
            features = metric.encode(groups)
        with torch.enable_grad():
            features = [group.requires_grad_() for group in features]
            score = metric.score_features(features, 1)[0, place]
            to_features = torch.autograd.grad(score, features)
            to_groups = [_to_views(metric, group, own) for group, own in zip(groups, to_features, strict=True)]
            (gradient,) = torch.autograd.grad(groups, variable, to_groups)
    return gradient


def _to_views(metric: Metric, group: Tensor, to_features: Tensor) -> Tensor:
    """The gradient with respect to views, shape (V, 3, h, w), of that with respect to their features, (V, D)."""
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
