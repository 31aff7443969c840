"""A metric of this package as a `torchmetrics.Metric`: over batches, epochs and processes."""

from __future__ import annotations

import functools
import itertools
import os
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from perceptmetrics.errors import InvalidOptionError, MissingExtraError, nearest_names
from perceptmetrics.factory.create import create_metric
from perceptmetrics.images.load import check_unit_range
from perceptmetrics.models.metric import Metric

try:
    import torchmetrics
    from torchmetrics.utilities.data import dim_zero_cat
except ImportError as error:
    raise MissingExtraError("perceptmetrics.integrations.torchmetrics", "torchmetrics") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["PerceptualMetric"]

Result: TypeAlias = "Tensor | dict[str, Tensor]"

_serial_numbers = itertools.count(1)


class PerceptualMetric(torchmetrics.Metric):
    """Mean score of all images seen, or the list of their scores.

    Scores are those of the wrapped metric. `forward` returns the value of the batch, with gradients to the pixels. The
    frozen weights of the wrapped metric are neither in `state_dict` nor in `parameters()`, so checkpoints of a model
    stay small and load without them. `.to(device)` moves them, pickling includes them, and clones share their memory.

    Args:
        metric: A metric, or a name for `perceptmetrics.create_metric`.
        reduction: `"mean"` over the images, exact for any sizes of batches and any split among processes; or `"none"`,
            which keeps every score. With several processes the scores of the first come first.
        label: For a metric with labels: the label to score; None for all of them, as a dictionary.
        check_values: Whether to check that images are in [0, 1]. Reading the values waits for the device.
        **options: Options of every `torchmetrics.Metric`: `dist_sync_on_step`, `process_group`, `compute_on_cpu`, ...

    Attributes:
        metric: The wrapped metric.

    Raises:
        InvalidOptionError: `metric` is not a metric, `reduction` or `label` is not one of the possible values, or
            torchmetrics does not know one of the options.

    Examples:
        >>> import torch
        >>> quality = PerceptualMetric("lite_iqa", reduction="none")
        >>> quality.update(torch.rand(2, 3, 64, 64))
        >>> quality.update(torch.rand(3, 3, 64, 80))
        >>> quality.compute().shape
        torch.Size([5])
    """

    is_differentiable = True
    full_state_update = False

    metric: Metric
    count: Tensor
    identity: Tensor
    score_sum: Tensor
    scores: list[Tensor]

    def __init__(
        self,
        metric: str | os.PathLike[str] | Metric,
        reduction: Literal["mean", "none"] = "mean",
        *,
        label: str | None = None,
        check_values: bool = True,
        **options: Any,
    ) -> None:
        try:
            super().__init__(**options)
        except ValueError as error:
            raise InvalidOptionError(
                f"{error}. Pass options of the wrapped metric to create_metric: "
                "PerceptualMetric(create_metric(name, ...))."
            ) from error
        made = create_metric(metric) if isinstance(metric, (str, os.PathLike)) else metric
        _check(made, reduction, label)
        # Bypass nn.Module's registration, which would put the frozen weights into every state dictionary.
        object.__setattr__(self, "metric", made)
        self.reduction = reduction
        self.label = label
        self.check_values = check_values
        self._columns = max(1, len(made.labels)) if label is None else 1
        if reduction == "mean":
            self.add_state("score_sum", torch.zeros(self._columns, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")
        else:
            self.add_state("scores", [], dist_reduce_fx="cat")
        # Collections merge metrics whose states are equal after one batch; a serial number keeps different ones apart.
        self.add_state("identity", torch.tensor(float(next(_serial_numbers))), dist_reduce_fx="max")
        self.to(made.device)

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """Whether a higher score is better."""
        return not self.metric.lower_better

    @property
    def plot_lower_bound(self) -> float | None:  # type: ignore[override]
        """Lowest possible score; None if unbounded."""
        return self.metric.score_range[0]

    @property
    def plot_upper_bound(self) -> float | None:  # type: ignore[override]
        """Highest possible score; None if unbounded."""
        return self.metric.score_range[1]

    def forward(self, images: Tensor | Sequence[Tensor]) -> Result:
        """Update the state with a batch and return the value of the batch alone, with gradients to the pixels.

        Args:
            images: See `update`.

        Returns:
            What `compute` would return for this batch alone.
        """
        value: Result = super().forward(images)
        # Or else the graph of the batch would be kept, here and in the states.
        self._forward_cache: Any = _each(torch.detach, value)
        if self.reduction == "none":
            self.scores = [scores.detach() for scores in self.scores]
        return value

    def update(self, images: Tensor | Sequence[Tensor]) -> None:
        """Update the state with a batch.

        Args:
            images: Shape (N, 3, H, W) or (3, H, W), RGB, floating point in [0, 1], on the metric's device; or a list
                of tensors (3, H_i, W_i) of any sizes.

        Raises:
            InvalidImageError: Type or shape is wrong, or `check_values` is on and values are not in [0, 1].
        """
        if self.check_values:
            for pixels in [images] if isinstance(images, Tensor) else images:
                if pixels.is_floating_point() and pixels.numel() > 0:
                    check_unit_range(pixels)
        rows = self.metric(images).reshape(-1, max(1, len(self.metric.labels)))
        if self.label is not None:
            rows = rows[:, [self.metric.labels.index(self.label)]]
        if self.reduction == "mean":
            self.score_sum = self.score_sum + rows.to(self.score_sum.dtype).sum(dim=0)
            self.count = self.count + rows.shape[0]
        else:
            # Flat, so that a process without images can be joined with others.
            self.scores.append(rows.flatten())

    def compute(self) -> Result:
        """Value over all images of all processes since the last `reset`.

        Returns:
            float32: a scalar, or shape (N,) for `reduction="none"`. For a metric with labels a dictionary of these by
            label. Without any image NaN, or shape (0,).
        """
        if self.reduction == "mean":
            columns = (self.score_sum / self.count).float().unbind()
        elif len(self.scores) > 0:
            columns = dim_zero_cat(self.scores).reshape(-1, self._columns).unbind(dim=1)
        else:
            columns = (torch.zeros(0, device=self.device),) * self._columns
        if self.metric.labels and self.label is None:
            return dict(zip(self.metric.labels, columns, strict=True))
        return columns[0]

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot a value, or several as a series.

        Args:
            val: What `forward` or `compute` returned, or a list of such; None for `compute()`.
            ax: Matplotlib's axes to draw into; None for a new figure.

        Returns:
            Figure (None where `ax` is given) and axes.

        Raises:
            MissingExtraError: Matplotlib is not installed.
        """
        axes: Any
        try:
            figure, axes = self._plot(val, ax)
        except ModuleNotFoundError as error:
            raise MissingExtraError("Drawing a plot", "plots") from error
        axes.set_ylabel(self.metric.metric_name if self.label is None else f"{self.metric.metric_name}.{self.label}")
        return figure, axes

    def _wrap_compute(self, compute: Callable[[], Result]) -> Callable[[], Result]:
        """Keep the shape (1,) of a single image's scores, which torchmetrics would squeeze."""
        wrapped = super()._wrap_compute(compute)

        @functools.wraps(wrapped)
        def compute_in_shape() -> Result:
            value: Result = wrapped()
            return value if self.reduction == "mean" else _each(torch.atleast_1d, value)

        return compute_in_shape

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> nn.Module:
        """Move the states, and the wrapped metric to the same device. Its precision never changes."""
        try:
            fn(torch.zeros(1, dtype=torch.float64))
        except (TypeError, RuntimeError):  # Apple's GPUs have no float64
            self._narrow_sum()
        moved: nn.Module = super()._apply(fn, exclude_state)
        self.metric.to(self.device)
        return moved

    def _narrow_sum(self) -> None:
        if self.reduction == "mean":
            self.score_sum = self.score_sum.float()
            self._defaults["score_sum"] = self._defaults["score_sum"].to(torch.float32)  # type: ignore[union-attr]

    def __deepcopy__(self, memo: dict[int, Any]) -> PerceptualMetric:
        """Copy everything except the frozen weights, which are shared until one of the metrics trains."""
        encoder = self.metric.encoder
        for weight in self.metric.parameters():
            if not weight.requires_grad:
                memo[id(weight)] = nn.Parameter(weight.detach(), requires_grad=False)
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__setstate__(deepcopy(self.__getstate__(), memo))
        copied.metric.encoder.shared = encoder.shared.with_copy(encoder)
        return copied

    def __repr__(self) -> str:
        return f"PerceptualMetric({self.metric.metric_name!r}, reduction={self.reduction!r}, label={self.label!r})"


def _each(function: Callable[[Tensor], Tensor], value: Result) -> Result:
    if isinstance(value, Tensor):
        return function(value)
    return {label: function(scores) for label, scores in value.items()}


def _check(metric: object, reduction: object, label: str | None) -> None:
    if not isinstance(metric, Metric):
        raise InvalidOptionError(
            f"PerceptualMetric wraps a metric or the name of one, got {type(metric).__name__}. (A loss is no metric; "
            "leave out as_loss=True.)"
        )
    if reduction not in ("mean", "none"):
        raise InvalidOptionError(f"reduction must be 'mean' or 'none', got {reduction!r}.")
    if label is not None and label not in metric.labels:
        raise InvalidOptionError(
            f"{metric.metric_name!r} has no label {label!r}. {nearest_names(label, metric.labels)}"
            if metric.labels
            else f"{metric.metric_name!r} has a single score; leave label={label!r} out."
        )
