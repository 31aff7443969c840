"""From features to scores."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["antonym_probability", "at_least_float32", "signed_log"]


def antonym_probability(image_features: Tensor, text_features: Tensor, logit_scale: Tensor | float) -> Tensor:
    """Probability that an image belongs to the positive prompt of each antonym pair.

    CLIP-IQA, section 3.1, Eq. 1-3, with the temperature of the released code: softmax over
    `logit_scale * cosine`, which for two prompts is a sigmoid of the difference.

    Args:
        image_features: Shape (..., D), any length.
        text_features: Shape (P, 2, D) of unit length; [:, 0] are the positive prompts.
        logit_scale: The factor itself (about 100 in CLIP), not its logarithm.

    Returns:
        Shape (..., P), in [0, 1], in float32 or better.
    """
    images, texts = at_least_float32(image_features), at_least_float32(text_features)
    directions = texts[:, 0] - texts[:, 1]
    return torch.sigmoid(logit_scale * F.normalize(images, dim=-1) @ directions.T)


def signed_log(values: Tensor) -> Tensor:
    """Compress long tails on both sides: `sign(x) * log(1 + |x|)`.

    Args:
        values: Any shape.

    Returns:
        Same shape.
    """
    return values.sign() * values.abs().log1p()


def at_least_float32(values: Tensor) -> Tensor:
    """The same numbers in float32, or in float64 if that is what they are in. Half precision is too coarse for sums."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
