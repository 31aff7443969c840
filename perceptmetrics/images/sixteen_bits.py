"""PNG and TIFF files with 16 bits per colour sample, at full precision.

Pillow keeps the high byte of each sample. Told that the byte order is the other one, it keeps the low byte; so a
file is decoded twice and the bytes are put together.

`torchvision.io.decode_image` reads such PNG files in one pass, about twice as fast. But torchvision 0.29 ends the
process with a segmentation fault where the compressed data of a PNG are corrupt, and no check from outside finds all
such files, so a program that reads other people's files cannot use it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from perceptmetrics.images.pillow import load_strictly, tile_like

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

__all__ = ["has_sixteen_bit_colour", "key_to_white", "read_sixteen_bits"]

_COLOURS = ("RGB", "RGBA", "RGBX", "RGBa", "CMYK", "LA")
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


def has_sixteen_bit_colour(image: ImageFile) -> bool:
    """Whether Pillow would drop half of the bits of an opened file that is not decoded yet."""
    colours, _, depth = _raw_mode(image).partition(";")
    sixteen = colours in _COLOURS and depth in ("16B", "16L", "16N")
    return sixteen and image.format in ("PNG", "TIFF")


def read_sixteen_bits(image: ImageFile, open_again: Callable[[], ImageFile]) -> NDArray[np.uint16]:
    """Decode a file for which `has_sixteen_bit_colour` is true.

    Args:
        image: The opened file; it is loaded, and has its complete metadata afterwards.
        open_again: Opens the same file once more.

    Returns:
        Shape (H, W, C), as stored: grey, alpha; red, green, blue and perhaps alpha; or cyan, magenta, yellow, black.
    """
    raw_mode = _raw_mode(image)
    if raw_mode.startswith("LA"):  # the four bytes of a pixel, as they are
        return np.ascontiguousarray(_decode(image, "RGBA")).view(">u2").astype(np.uint16)
    raw_mode = raw_mode.replace("RGBa", "RGBA")  # Pillow would divide by alpha, byte by byte
    high = _decode(image, raw_mode)
    low = _decode(open_again(), raw_mode[:-1] + _OTHER_ORDER[raw_mode[-1]])
    return high.astype(np.uint16) * 256 + low


def key_to_white(samples: NDArray[np.uint16], key: int | tuple[int, ...]) -> NDArray[np.uint16]:
    """Replace the one colour that a 16-bit PNG may declare transparent by white.

    Args:
        samples: Shape (H, W) or (H, W, C).
        key: One number, or one per channel.

    Returns:
        Same shape.
    """
    clear = samples == key if samples.ndim == 2 else (samples == key).all(axis=-1, keepdims=True)
    return np.where(clear, np.uint16(65535), samples)


def _raw_mode(image: ImageFile) -> str:
    arguments = image.tile[0][3] if image.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _decode(image: ImageFile, raw_mode: str) -> NDArray[np.uint8]:
    tiles: list[Any] = []
    for tile in image.tile:
        arguments = tile[3]
        tiles.append(tile_like(tile, args=(raw_mode, *arguments[1:]) if isinstance(arguments, tuple) else raw_mode))
    image.tile = tiles
    load_strictly(image)
    return np.array(image)
