"""A weighted sum of scores, of which higher is better."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from perceptmetrics.errors import InvalidImageError, InvalidOptionError, nearest_names
from perceptmetrics.factory.create import create_metric
from perceptmetrics.factory.suite import MetricSuite
from perceptmetrics.images.load import load_image
from perceptmetrics.metrics.registry import list_metrics
from perceptmetrics.models.metric import Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Images", "Metrics", "Reward", "channels_first"]

Images: TypeAlias = "Tensor | NDArray[np.uint8] | Sequence[Any]"
Metrics: TypeAlias = "str | Metric | Mapping[str, float] | Sequence[tuple[str | Metric, float]]"

_LEAST_DEVIATION = 1e-6


class Reward(nn.Module):
    """A weighted sum of scores, of which higher is better.

    Scores of metrics of which lower is better are counted negatively. With `normalize`, the running mean of each
    metric is subtracted from its scores, and they are divided by their running standard deviation, so that weights
    mean the same whatever the ranges are. Batches update both in training mode; `state_dict()` has them, and nothing
    else: the metrics are frozen and not part of it.

    Args:
        metrics: A metric or its name; or weights by name; or pairs of a metric and a weight. A name may be followed
            by a label: `"perceptclip_emo.contentment"`.
        normalize: Whether to bring the scores to running mean 0 and deviation 1 before they are weighed.
        device: Where to put the metrics that are created here; None for the CPU.
        **options: Options of `create_metric` for these.

    Attributes:
        suite: The metrics; they share what they have in common, so that each encoder runs once.
        parts: Scores of the last call by name, detached, shape (N,), neither normalised nor weighed.

    Raises:
        InvalidOptionError: There is no metric, a weight is not finite, a metric has several labels and none is stated,
            or a name occurs twice.

    Examples:
        >>> import torch
        >>> reward = Reward({"lite_iqa": 1.0})
        >>> reward(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2])
    """

    suite: MetricSuite
    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(
        self, metrics: Metrics, *, normalize: bool = False, device: torch.device | str | None = None, **options: Any
    ) -> None:
        super().__init__()
        made: dict[str, Metric] = {}
        self._terms = [_term(metric, weight, made, {"device": device, **options}) for metric, weight in _pairs(metrics)]
        if not self._terms or len(set(self.names)) < len(self.names):
            raise InvalidOptionError(f"A reward needs metrics, each of another name, got {self.names or 'none'}.")
        # Not as a submodule: the weights stay out of state dictionaries.
        object.__setattr__(self, "suite", MetricSuite(list(made.values())))
        self.normalize = normalize
        self.parts: dict[str, Tensor] = {}
        for name in ("count", "mean", "squares"):
            self.register_buffer(name, torch.zeros(len(self._terms), dtype=torch.float64))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the metrics, with the label where one is stated."""
        return tuple(term.name for term in self._terms)

    @property
    def reads_prompts(self) -> bool:
        """Whether one of the metrics compares images with their prompts."""
        return self.suite.reads_prompts

    def forward(self, images: Images, prompts: Sequence[str] | None = None) -> Tensor:
        """Compute the rewards of images.

        Args:
            images: Shape (N, 3, H, W), floating point in [0, 1], on the device of the metrics, with gradients; or
                uint8 of shape (N, H, W, 3) or (N, 3, H, W), as an array or a tensor; or a list of images of any sizes.
            prompts: The prompt of each image, where a metric compares them (`reads_prompts`).

        Returns:
            Shape (N,), float32, differentiable in floating-point images.

        Raises:
            InvalidImageError: The images are none of these.
            InvalidOptionError: Prompts are missing, or are not as many as the images.
        """
        pixels = _to_pixels(images, self.suite.device)
        scores = self.suite(pixels, prompts) if self.reads_prompts else self.suite(pixels)
        rewards = []
        for index, term in enumerate(self._terms):
            own = scores[term.metric] if scores[term.metric].ndim == 1 else scores[term.metric][:, term.column]
            self.parts[term.name] = own.detach()
            rewards.append(term.factor * (self._normalized(index, own) if self.normalize else own))
        return torch.stack(rewards).sum(dim=0)

    def _normalized(self, index: int, scores: Tensor) -> Tensor:
        if self.training:
            self._update(index, scores.detach().double().to(self.mean.device))
        deviation = (self.squares[index] / self.count[index].clamp_min(1)).sqrt()
        scale = torch.where(deviation > _LEAST_DEVIATION, deviation, torch.ones_like(deviation))
        return (scores - self.mean[index].to(scores)) / scale.to(scores)

    def _update(self, index: int, scores: Tensor) -> None:
        """Join the batch with what was seen before (Chan, Golub and LeVeque, "Updating formulae", 1979)."""
        seen, added = self.count[index].clone(), len(scores)
        difference = scores.mean() - self.mean[index]
        self.count[index] = seen + added
        self.mean[index] += difference * added / (seen + added)
        self.squares[index] += (scores - scores.mean()).square().sum() + difference**2 * seen * added / (seen + added)


class _Term(NamedTuple):
    """One term of the sum.

    Attributes:
        name: Name of the metric, with the label where one is stated.
        metric: Name of the metric.
        column: Index of the label.
        factor: Its weight, negative where lower scores are better.
    """

    name: str
    metric: str
    column: int
    factor: float


def _term(metric: str | Metric, weight: float, made: dict[str, Metric], options: Mapping[str, Any]) -> _Term:
    """A term from what users state; a metric that is not in `made` yet is created."""
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not math.isfinite(weight):
        raise InvalidOptionError(f"The weight of {metric!r} must be a finite number, got {weight!r}.")
    if isinstance(metric, Metric):
        name, label, used = metric.metric_name, None, made.setdefault(metric.metric_name, metric)
    else:
        base, _, label = (metric, "", None) if metric in list_metrics() else metric.rpartition(".")
        name, base, label = (metric, base, label) if base in list_metrics() else (metric, metric, None)
        used = made[base] if base in made else made.setdefault(base, create_metric(base, **options))
    labels = used.labels
    if label is None and len(labels) > 1:
        raise InvalidOptionError(
            f"{used.metric_name!r} gives {len(labels)} scores, and a reward is one. State a label, such as "
            f"'{used.metric_name}.{labels[0]}'."
        )
    if label is not None and label not in labels:
        raise InvalidOptionError(f"{used.metric_name!r} has no label {label!r}. {nearest_names(label, labels)}")
    column = 0 if label is None else labels.index(label)
    return _Term(name, used.metric_name, column, -weight if used.lower_better else weight)


def _pairs(metrics: Metrics) -> list[tuple[str | Metric, float]]:
    if isinstance(metrics, (str, Metric)):
        return [(metrics, 1.0)]
    return list(metrics.items()) if isinstance(metrics, Mapping) else list(metrics)


def _to_pixels(images: Images, device: torch.device) -> Tensor | list[Tensor]:
    """Floating-point tensors in [0, 1], channels first; what is none yet goes to the device of the metrics."""
    if isinstance(images, np.ndarray):
        images = torch.from_numpy(np.ascontiguousarray(images))
    if isinstance(images, Tensor):
        return channels_first(images.to(device)).float() / 255 if images.dtype == torch.uint8 else images
    if not isinstance(images, Iterable):
        raise InvalidImageError(f"Expected a batch of images, got {type(images).__name__}.")
    return [image if isinstance(image, Tensor) else load_image(image).to(device) for image in images]


def channels_first(images: Tensor) -> Tensor:
    """Images of shape (N, 3, H, W), from such or from (N, H, W, 3)."""
    return images.movedim(-1, 1) if images.ndim == 4 and images.shape[1] != 3 and images.shape[-1] == 3 else images
