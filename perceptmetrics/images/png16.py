"""PNG files with 16 bits per colour sample, at full precision.

Pillow keeps the high byte of each sample. Told that the byte order is the other one, it keeps the low byte; so a
file is decoded twice and the bytes are put together.

`torchvision.io.decode_image` reads the same samples in one pass, about twice as fast. But torchvision 0.29 ends the
process with a segmentation fault where the compressed data of a PNG are corrupt, and no check from outside finds all
such files, so a program that reads other people's files cannot use it.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["is_sixteen_bit_colour_png", "key_to_white", "read_sixteen_bit_png"]


def is_sixteen_bit_colour_png(image: Image.Image) -> bool:
    """Whether Pillow would drop half of the bits of an opened file that is not decoded yet."""
    return image.format == "PNG" and _raw_mode(image) in ("RGB;16B", "RGBA;16B", "LA;16B")


def read_sixteen_bit_png(stream: IO[bytes]) -> NDArray[np.uint16]:
    """Decode a file for which `is_sixteen_bit_colour_png` is true.

    Args:
        stream: The file.

    Returns:
        Shape (H, W, C) with C = 2, 3 or 4, upright. The colour that the file declares transparent becomes white.
    """
    stream.seek(0)
    with Image.open(stream) as image:
        raw_mode = _raw_mode(image)
        transparent = image.info.get("transparency")
    if raw_mode == "LA;16B":  # the four bytes of a pixel, as they are
        samples = np.ascontiguousarray(_decode(stream, "RGBA")).view(">u2").astype(np.uint16)
    else:
        high, low = _decode(stream, raw_mode), _decode(stream, raw_mode.replace("16B", "16L"))
        samples = high.astype(np.uint16) * 256 + low
    return samples if transparent is None else key_to_white(samples, transparent)


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


def _raw_mode(image: Any) -> str:
    tiles = getattr(image, "tile", None)
    return str(tiles[0][3]) if tiles else ""


def _decode(stream: IO[bytes], raw_mode: str) -> NDArray[np.uint8]:
    stream.seek(0)
    with Image.open(stream) as opened:
        image: Any = opened
        codec, extents, offset = image.tile[0][:3]
        image.tile = [(codec, extents, offset, raw_mode)]
        return np.array(ImageOps.exif_transpose(image))
