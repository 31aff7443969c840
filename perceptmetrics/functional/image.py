"""Geometry and normalisation of image batches. Everything here is differentiable in the pixels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, addcmul

__all__ = ["normalise", "resize", "shrink_to_long_side"]


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize with bilinear interpolation and an antialiasing filter (as Pillow does, in float).

    Args:
        images: Shape (N, C, H, W).
        size: Target height and width in pixels.

    Returns:
        Shape (N, C, *size).
    """
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)


def shrink_to_long_side(images: Tensor, max_long_side: int) -> Tensor:
    """Shrink images whose longer side is above a limit; leave smaller ones untouched.

    Args:
        images: Shape (N, C, H, W).
        max_long_side: Limit in pixels.

    Returns:
        Shape (N, C, h, w) with max(h, w) <= max_long_side and the aspect ratio kept to the nearest pixel.
    """
    height, width = images.shape[-2:]
    long_side = max(height, width)
    if long_side <= max_long_side:
        return images
    scale = max_long_side / long_side
    return resize(images, (max(1, round(height * scale)), max(1, round(width * scale))))


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Subtract the mean and divide by the standard deviation, in one pass over the pixels.

    Args:
        images: Shape (N, C, H, W).
        mean: Shape (C,).
        std: Shape (C,), positive.

    Returns:
        Shape (N, C, H, W), `(images - mean) / std`.
    """
    scale = std.reciprocal()
    return addcmul((-mean * scale)[:, None, None], images, scale[:, None, None])
