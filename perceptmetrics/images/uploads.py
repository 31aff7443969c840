"""Images from untrusted users: check format and size before decoding."""

from __future__ import annotations

import functools
from typing import IO

from PIL import Image

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.load import DECODING_ERRORS

__all__ = ["OversizedImageError", "upload_area", "upload_formats"]

_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")


class OversizedImageError(InvalidImageError):
    """An image has more pixels than allowed."""


@functools.cache
def upload_formats() -> tuple[str, ...]:
    """The accepted formats, by Pillow's names. Pillow reads more, and runs other programs for some of them."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def upload_area(stream: IO[bytes], name: str, max_pixels: int) -> int:
    """Read the size of an image from its header, without decoding it.

    Args:
        stream: The file.
        name: What to call it.
        max_pixels: Largest number of pixels allowed.

    Returns:
        Number of pixels.

    Raises:
        OversizedImageError: It has more pixels.
        InvalidImageError: It is not an image in one of `upload_formats`.
    """
    too_many = f"{name} has more than the {max_pixels} pixels allowed"
    try:
        stream.seek(0)
        with Image.open(stream, formats=upload_formats()) as image:
            width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise OversizedImageError(f"{too_many}. Shrink it first.") from error
    except DECODING_ERRORS as error:
        raise InvalidImageError(
            f"{name} is not an image that can be read. Send {', '.join(upload_formats())} that opens in a viewer."
        ) from error
    if width * height > max_pixels:
        raise OversizedImageError(f"{too_many}: {width} x {height}. Shrink it first.")
    return width * height
