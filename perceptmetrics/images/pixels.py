"""From decoded images of any colour mode to pixels: (3, H, W), RGB, transparency over white."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.arrays import from_array
from perceptmetrics.images.sixteen_bits import key_to_white

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from perceptmetrics.images.tiff import SampleMeaning

__all__ = ["pixels_of", "pixels_of_samples"]

_SIXTEEN_BIT_GREY = ("I;16", "I;16B", "I;16L", "I;16N")
_FULL = 65535


def pixels_of(image: Image.Image, name: str, meaning: SampleMeaning) -> Tensor:
    """Turn a loaded, upright image into pixels.

    Args:
        image: The image, in any mode of Pillow's.
        name: What to call it.
        meaning: What its samples mean.

    Returns:
        Shape (3, H, W), RGB; uint8 in 0..255, or float32 in [0, 1].

    Raises:
        InvalidImageError: Its numbers are not those of an image.
    """
    if image.mode == "F":
        values = np.asarray(image)
        return from_array(1 - values if meaning.white_is_zero else values)
    if image.mode == "I" or image.mode in _SIXTEEN_BIT_GREY:
        return from_array(_grey(image, name, meaning))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return from_array(np.asarray(image if image.mode == "RGB" else image.convert("RGB")))


def pixels_of_samples(samples: NDArray[Any], meaning: SampleMeaning, info: dict[Any, Any]) -> Tensor:
    """Turn samples that Pillow does not keep in one image into pixels.

    Args:
        samples: Shape (H, W, C), uint8, uint16 or floats in [0, 1]; upright.
        meaning: What they mean.
        info: Metadata of the file, as Pillow has them.

    Returns:
        Shape (3, H, W), RGB, float32 in [0, 1].
    """
    if "transparency" in info and samples.dtype == np.uint16:
        samples = key_to_white(samples, info["transparency"])
    unit = samples / np.float32(np.iinfo(samples.dtype).max) if samples.dtype.kind == "u" else samples
    unit = unit.astype(np.float32)
    inks = 4 if meaning.cmyk else 3 if unit.shape[2] > 2 else 1
    colour, alpha = unit[..., :inks], unit[..., inks : inks + 1]
    if meaning.cmyk:
        colour = (1 - colour[..., :3]) * (1 - colour[..., 3:])
    elif meaning.white_is_zero:
        colour = 1 - colour
    if alpha.shape[2] and meaning.alpha == "premultiplied":
        colour = np.minimum(colour + 1 - alpha, 1)
    elif alpha.shape[2] and meaning.alpha == "straight":
        colour = colour * alpha + (1 - alpha)
    return from_array(colour)


def _grey(image: Image.Image, name: str, meaning: SampleMeaning) -> NDArray[Any]:
    grey = np.asarray(image)
    if image.mode == "I":
        low, high = grey.min(), grey.max()
        if low < 0 or high > _FULL:
            raise InvalidImageError(
                f"{name} holds 32-bit integers from {low} to {high}; expected 0..{_FULL}. Rescale it."
            )
    shades = grey.astype(np.uint16)
    if meaning.white_is_zero:
        shades = np.uint16(meaning.white) - shades
    if "transparency" in image.info:
        shades = key_to_white(shades, image.info["transparency"])
    return shades if meaning.white == _FULL else shades.astype(np.float32) / np.float32(meaning.white)
