"""Arrays and tensors as images: what is allowed, and how samples become the canonical tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from perceptmetrics.errors import InvalidImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["check_tensor", "check_unit_range", "from_array", "to_unit_float"]

RANGE_TOLERANCE = 1e-4
_FLOATING_POINT = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def to_unit_float(pixels: Tensor) -> Tensor:
    """Turn what `load_pixels` returns (or a stack of it) into float32 in [0, 1]."""
    return pixels.to(torch.float32).div_(255.0) if pixels.dtype == torch.uint8 else pixels


def check_tensor(images: Tensor, dimensions: tuple[int, ...] = (3, 4)) -> None:
    """Check type and shape of image tensors. Values are not read, so this does not wait for the device.

    Args:
        images: Should have shape (3, H, W) or (N, 3, H, W).
        dimensions: Allowed numbers of dimensions.

    Raises:
        InvalidImageError: It is not a floating-point tensor of such a shape, or has no pixels.
    """
    if images.is_nested:
        raise InvalidImageError("Expected a tensor, got a nested one. Pass a list of tensors: list(x.unbind()).")
    shape = tuple(images.shape)
    if images.ndim not in dimensions:
        shapes = " or ".join("(N, 3, H, W)" if dimension == 4 else "(3, H, W)" for dimension in dimensions)
        raise InvalidImageError(f"Expected a tensor of shape {shapes}, got {shape}.")
    if images.shape[-3] != 3:
        hint = " It looks like channels-last; use .movedim(-1, -3)." if images.shape[-1] == 3 else ""
        raise InvalidImageError(f"Expected 3 channels (RGB) in dimension {images.ndim - 3}, got shape {shape}.{hint}")
    if images.layout != torch.strided:
        raise InvalidImageError(f"Expected a dense tensor, got one with the layout {images.layout}. Use x.to_dense().")
    if images.dtype not in _FLOATING_POINT:
        advice = "x.float() / 255 for 8-bit pixels"
        if images.is_floating_point():
            advice = "x.float(); 16, 32 and 64 bits are read"
        elif images.is_complex():
            advice = "x.real, if the image is there"
        raise InvalidImageError(
            f"Expected a floating-point tensor with values in [0, 1], got {images.dtype}. Convert it first: {advice}."
        )
    if images.numel() == 0:
        raise InvalidImageError(f"The image has no pixels: shape {shape}. Height, width and batch must be positive.")


def check_unit_range(images: Tensor) -> None:
    """Check that all values are finite and in [0, 1], with a tolerance of 1e-4 for rounding.

    Args:
        images: A floating-point tensor of any shape with at least one element.

    Raises:
        InvalidImageError: A value is NaN, infinite or out of range; the message suggests a remedy.
    """
    low, high = (float(value) for value in torch.aminmax(images.detach()))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InvalidImageError("The image holds NaN or infinite values. Find the step that produced them.")
    if low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE:
        return
    if low >= 0 and 2 < high <= 255:
        advice = "This looks like 0..255; divide by 255."
    elif low >= -1 - RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE:
        advice = "This looks like -1..1; use (x + 1) / 2."
    else:
        advice = "Clamp or rescale it, and undo any mean/std normalisation: metrics normalise by themselves."
    raise InvalidImageError(f"Expected values in [0, 1], got {low:.6g} to {high:.6g}. {advice}")


def from_array(array: NDArray[np.generic]) -> Tensor:
    """Turn an array into pixels, transparency over white.

    Args:
        array: See `images.load.load_image`.

    Returns:
        Shape (3, H, W), RGB; uint8 in 0..255, or float32 in [0, 1]; a copy.

    Raises:
        InvalidImageError: Its shape, type or values are not those of an image.
    """
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        hint = (
            " It looks like channels-first; transpose it to (H, W, 3)."
            if array.ndim == 3 and array.shape[0] == 3
            else ""
        )
        raise InvalidImageError(
            f"Expected an array of shape (H, W), (H, W, 1), (H, W, 2), (H, W, 3) or (H, W, 4), got {array.shape}.{hint}"
        )
    if array.size == 0:
        raise InvalidImageError(f"The array has no pixels: shape {array.shape}.")
    if array.dtype == np.uint8 and array.shape[2] in (1, 3):
        # Always a copy: the caller may go on writing to the array, or may not be allowed to.
        return torch.from_numpy(np.array(array.transpose(2, 0, 1), order="C")).expand(3, -1, -1).contiguous()
    return _over_white(_to_float_pixels(array).permute(2, 0, 1)).contiguous()


def _to_float_pixels(array: NDArray[np.generic]) -> Tensor:
    if array.dtype in (np.uint8, np.uint16):
        full = 255 if array.dtype == np.uint8 else 65535
        return torch.from_numpy(array.astype(np.float32) / np.float32(full))
    if not np.issubdtype(array.dtype, np.floating):
        raise InvalidImageError(
            f"Expected an array of uint8, uint16 or floats in [0, 1], got {array.dtype}. Convert it: "
            "a.astype(numpy.uint8) for values 0..255."
        )
    values = torch.from_numpy(array.astype(np.float32))
    check_unit_range(values)
    return values


def _over_white(pixels: Tensor) -> Tensor:
    """Compose (1, 2, 3 or 4 channels, H, W) in [0, 1] over white: three channels."""
    if pixels.shape[0] in (2, 4):
        colour, alpha = pixels[:-1], pixels[-1:]
        pixels = colour * alpha + (1 - alpha)
    return pixels.expand(3, -1, -1)
