"""Losses that train predictors of human ratings, and a loss for distributions over labels.

They compute in float32 or better, whatever the precision of what they are given.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, linalg

from perceptmetrics.functional.score import at_least_float32

__all__ = ["charbonnier_loss", "label_divergence", "plcc_loss", "ranking_loss"]

_LEAST_DEVIATION = 1e-3  # of predictions; where they are closer to one another, the gradient does not grow any more


def plcc_loss(prediction: Tensor, target: Tensor, eps: float = 1e-8, *, weight: Tensor | None = None) -> Tensor:
    """Half of one minus Pearson's linear correlation over a batch (PerceptCLIP, section 4.1).

    Args:
        prediction: Shape (N,), N >= 2.
        target: Shape (N,).
        eps: Standard deviation below which either vector counts as constant, so that there is no correlation.
        weight: How much each sample counts, shape (N,), positive; None for all the same.

    Returns:
        Scalar in [0, 1]; 0 for perfect correlation, 0.5 for none. The gradient grows as the predictions come closer to
        one another, but no more once their standard deviation is below 1e-3.
    """
    prediction, deviation = _centred(prediction, eps, weight)
    target, spread = _centred(target, eps, weight)
    share = (deviation / (_LEAST_DEVIATION * math.sqrt(len(prediction)))).clamp(max=1).detach()
    fixed = prediction.detach()
    prediction = fixed + share * (prediction - fixed)  # the same numbers with a part of the gradient
    return (1 - (prediction * target).sum() / (deviation * spread)) / 2


def _centred(values: Tensor, eps: float, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Numbers minus their mean, times the root of their weight, and the norm of these, not below rounding errors'."""
    values = at_least_float32(values)
    rounding = 4 * torch.finfo(values.dtype).eps * values.detach().abs().amax()
    if weight is None:
        centred = values - values.mean()
    else:
        weight = (weight / weight.mean()).to(values)
        centred = weight.sqrt() * (values - (weight * values).mean())
    least = math.sqrt(len(values)) * rounding.clamp(min=eps)
    norm: Tensor = linalg.vector_norm(centred)
    return centred, torch.maximum(norm, least)


def ranking_loss(
    better: Tensor, worse: Tensor, margin: float, *, softness: float = 0.0, weight: Tensor | None = None
) -> Tensor:
    """Mean hinge, sharp or soft, of pairs whose order is known.

    Args:
        better: Predictions of the images that should score higher, any shape.
        worse: Predictions of their counterparts, same shape.
        margin: Difference above which a pair costs nothing (or little, if soft).
        softness: Width of the hinge's bend: `softness * softplus((margin - difference) / softness)`; 0 for the
            sharp hinge `max(0, margin - difference)`.
        weight: Weights of the pairs, broadcastable to their shape.

    Returns:
        Scalar.
    """
    shortfall = margin - (at_least_float32(better) - at_least_float32(worse))
    cost = softness * F.softplus(shortfall / softness) if softness > 0 else F.relu(shortfall)
    return (cost if weight is None else weight * cost).mean()


def charbonnier_loss(prediction: Tensor, target: Tensor, eps: float = 1e-6, *, weight: Tensor | None = None) -> Tensor:
    """Mean Charbonnier distance `sqrt((prediction - target)^2 + eps)` (Charbonnier et al., 1994; CLIP-UIQA).

    Args:
        prediction: Any shape.
        target: Same shape.
        eps: Square of the width inside which the loss is quadratic.
        weight: Factors of the distances before their mean is taken, same shape; None for 1.

    Returns:
        Scalar, at least `sqrt(eps)` without weights.
    """
    distance: Tensor = ((at_least_float32(prediction) - at_least_float32(target)).square() + eps).sqrt()
    return (distance if weight is None else weight * distance).mean()


def label_divergence(outputs: Tensor, target: Tensor) -> Tensor:
    """Kullback-Leibler divergence of predicted from target probabilities: `sum t log(t / p)`, `p = softmax(outputs)`.

    It is the cross-entropy minus the entropy of the target, so it is 0 where both agree. Computed from outputs rather
    than probabilities, its gradient does not vanish where a wanted label has almost no probability.

    Args:
        outputs: Shape (N, K), before the softmax.
        target: Probabilities, shape (N, K) or (K,).

    Returns:
        Shape (N,), at least 0.
    """
    log_probabilities = F.log_softmax(at_least_float32(outputs), dim=-1)
    return F.kl_div(log_probabilities, at_least_float32(target).expand_as(outputs), reduction="none").sum(dim=-1)
