"""From features to scores."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["antonym_probability", "logistic", "map_to_scores", "signed_log"]


def antonym_probability(image_features: Tensor, text_features: Tensor, logit_scale: Tensor | float) -> Tensor:
    """Probability that an image belongs to the positive prompt of each antonym pair.

    CLIP-IQA, section 3.1, Eq. 1-3, with the temperature of the released code: softmax over
    `logit_scale * cosine`, which for two prompts is a sigmoid of the difference.

    Args:
        image_features: Shape (..., D), any length.
        text_features: Shape (P, 2, D) of unit length; [:, 0] are the positive prompts.
        logit_scale: The factor itself (about 100 in CLIP), not its logarithm.

    Returns:
        Shape (..., P), in [0, 1].
    """
    directions = text_features[:, 0] - text_features[:, 1]
    return torch.sigmoid(logit_scale * F.normalize(image_features, dim=-1) @ directions.T)


def logistic(raw: Tensor, scale: float, shift: float) -> Tensor:
    """Map raw outputs to (0, 1): `1 / (1 + exp(-(scale * raw + shift)))`.

    Args:
        raw: Any shape.
        scale: Factor.
        shift: Offset.

    Returns:
        Same shape.
    """
    return torch.sigmoid(scale * raw + shift)


def map_to_scores(raw: Tensor, kind: str, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    """Turn raw outputs into scores.

    Args:
        raw: Shape (..., K).
        kind: `"identity"`, `"affine"`, `"logistic"` or `"softmax"` (over K); see `ScoreSpec.map`.
        scale: Factor of the affine and the logistic map.
        shift: Their offset.

    Returns:
        Same shape.
    """
    if kind == "affine":
        return scale * raw + shift
    if kind == "logistic":
        return logistic(raw, scale, shift)
    if kind == "softmax":
        return raw.softmax(dim=-1)
    return raw


def signed_log(values: Tensor) -> Tensor:
    """Compress long tails on both sides: `sign(x) * log(1 + |x|)`.

    Args:
        values: Any shape.

    Returns:
        Same shape.
    """
    return values.sign() * values.abs().log1p()
