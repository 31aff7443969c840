"""Training losses for predictors of human ratings."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["plcc_loss", "ranking_loss"]


def plcc_loss(prediction: Tensor, target: Tensor, eps: float = 1e-8) -> Tensor:
    """Half of one minus Pearson's linear correlation over a batch (PerceptCLIP, section 4.1).

    Args:
        prediction: Shape (N,), N >= 2.
        target: Shape (N,).
        eps: Keeps the gradient finite when either vector is constant.

    Returns:
        Scalar in [0, 1]; 0 for perfect correlation, 0.5 for none.
    """
    prediction = prediction - prediction.mean()
    target = target - target.mean()
    norm = (prediction.square().sum() * target.square().sum() + eps).sqrt()
    return (1 - (prediction * target).sum() / norm) / 2


def ranking_loss(better: Tensor, worse: Tensor, margin: float) -> Tensor:
    """Mean hinge of pairs whose order is known.

    Args:
        better: Shape (N,): predictions of the images that should score higher.
        worse: Shape (N,): predictions of their counterparts.
        margin: Difference from which on a pair costs nothing.

    Returns:
        Scalar, mean of `max(0, margin - (better - worse))`.
    """
    return F.relu(margin - (better - worse)).mean()
