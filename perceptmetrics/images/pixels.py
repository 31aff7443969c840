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

    from perceptmetrics.images.profiles import Profile
    from perceptmetrics.images.tiff import SampleMeaning

__all__ = ["pixels_of", "pixels_of_samples"]

_SIXTEEN_BIT_GREY = ("I;16", "I;16B", "I;16L", "I;16N")
_FULL = 65535


def pixels_of(image: Image.Image, name: str, meaning: SampleMeaning, profile: Profile | None) -> Tensor:
    """Turn a loaded, upright image into pixels.

    Args:
        image: The image, in any mode of Pillow's.
        name: What to call it.
        meaning: What its samples mean.
        profile: What its colours mean, if they are not sRGB.

    Returns:
        Shape (3, H, W), RGB; uint8 in 0..255, or float32 in [0, 1].

    Raises:
        InvalidImageError: Its numbers are not those of an image.
    """
    if image.mode == "F":
        values = np.asarray(image)
        return _from_grey(1 - values if meaning.white_is_zero else values, name, profile)
    if image.mode == "I" or image.mode in _SIXTEEN_BIT_GREY:
        return _from_grey(_grey(image, name, meaning), name, profile)
    if profile is not None:
        image = profile.convert(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return from_array(np.asarray(image if image.mode == "RGB" else image.convert("RGB")))


def pixels_of_samples(
    samples: NDArray[Any], name: str, meaning: SampleMeaning, profile: Profile | None, info: dict[Any, Any]
) -> Tensor:
    """Turn samples that Pillow does not keep in one image into pixels.

    Args:
        samples: Shape (H, W, C), uint8, uint16 or floats in [0, 1]; upright.
        name: What to call the image.
        meaning: What they mean.
        profile: What the colours mean, if they are not sRGB.
        info: Metadata of the file, as Pillow has them.

    Returns:
        Shape (3, H, W), RGB, float32 in [0, 1].
    """
    if "transparency" in info and samples.dtype == np.uint16:
        samples = key_to_white(samples, info["transparency"])
    full = np.iinfo(samples.dtype).max if samples.dtype.kind == "u" else 1
    unit: NDArray[np.float32] = samples.astype(np.float32) / np.float32(full)
    inks = 4 if meaning.cmyk else 3 if unit.shape[2] > 2 else 1
    colour, alpha = unit[..., :inks], unit[..., inks : inks + 1]
    if meaning.white_is_zero:
        colour = 1 - colour
    transparent = alpha.shape[2] > 0 and meaning.alpha is not None
    if transparent and meaning.alpha == "premultiplied":
        colour = np.divide(colour, alpha, out=np.zeros_like(colour), where=alpha > 0).clip(0, 1)
    if profile is not None:
        colour = profile.convert_samples(colour, name)
    elif meaning.cmyk:
        colour = (1 - colour[..., :3]) * (1 - colour[..., 3:])
    return from_array(colour * alpha + (1 - alpha) if transparent else colour)


def _from_grey(grey: NDArray[Any], name: str, profile: Profile | None) -> Tensor:
    """Turn grey, shape (H, W), uint16 or floats, into pixels."""
    if profile is None or grey.size == 0:
        return from_array(grey)
    unit = grey / np.float32(_FULL) if grey.dtype == np.uint16 else grey
    return from_array(profile.convert_samples(unit.astype(np.float32)[..., None], name))


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
