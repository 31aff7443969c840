"""A metric as something to minimise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from perceptmetrics.errors import InvalidImageError, InvalidOptionError

if TYPE_CHECKING:
    from perceptmetrics.metric import Metric

__all__ = ["PerceptualLoss", "Reduction"]

Reduction = Literal["mean", "sum", "none"]


class PerceptualLoss(nn.Module):
    """Distance of a metric's score from its best value, to be minimised.

    The sign follows from the metric: where higher is better the loss is `upper - score` (`-score` when the range
    is open), where lower is better `score - lower`. Gradients reach the pixels; the metric itself is frozen, so
    it adds nothing to an optimizer.

    Args:
        metric: The metric.
        target: For a metric with labels: the label whose score is to be raised.
        weight: Factor; a tensor of shape (N,) weighs the images.
        reduction: `"mean"`, `"sum"` or `"none"` over the batch.

    Attributes:
        score: Score of the last call, detached: shape (N,); None before the first.

    Raises:
        InvalidOptionError: `reduction` or `target` is none of those possible.

    Example:
        >>> import torch, perceptmetrics
        >>> loss = perceptmetrics.create_metric("lite_iqa", as_loss=True, loss_weight=0.1)
        >>> pixels = torch.rand(2, 3, 64, 64, requires_grad=True)
        >>> loss(pixels).backward()
        >>> pixels.grad.shape
        torch.Size([2, 3, 64, 64])
    """

    weight: Tensor

    def __init__(
        self,
        metric: Metric,
        target: str | None = None,
        weight: float | Tensor = 1.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise InvalidOptionError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}.")
        if (target is not None or metric.labels) and target not in metric.labels:
            raise InvalidOptionError(
                f"The target of the loss must name one of the outputs of {metric.metric_name!r}, got {target!r}. "
                + (f"Labels: {', '.join(metric.labels)}." if metric.labels else "It has a single score; leave it out.")
            )
        if (isinstance(weight, Tensor) and weight.ndim > 1) or not isinstance(weight, (Tensor, int, float)):
            raise InvalidOptionError(f"weight must be a number or a tensor of shape (N,), got {weight!r}.")
        self.metric = metric
        self.target = target
        self.register_buffer("weight", torch.as_tensor(weight, dtype=torch.float32), persistent=False)
        self.reduction = reduction
        self.score: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Loss of a batch.

        Args:
            images: Shape (N, 3, H, W), RGB in [0, 1].

        Returns:
            Scalar, or shape (N,) for `reduction="none"`.
        """
        if not isinstance(images, Tensor):
            raise InvalidImageError(f"A loss takes a tensor of shape (N, 3, H, W), got {type(images).__name__}.")
        score: Tensor = self.metric(images)
        if self.target is not None:
            score = score[:, self.metric.labels.index(self.target)]
        self.score = score.detach()
        lower, upper = self.metric.score_range
        distance = score - (lower or 0.0) if self.metric.lower_better else (upper or 0.0) - score
        loss = self.weight * distance
        if self.reduction == "none":
            return loss
        return loss.mean() if self.reduction == "mean" else loss.sum()
