"""Images from untrusted users: check format and size before decoding."""

from __future__ import annotations

from typing import IO

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.formats import readable_formats
from perceptmetrics.images.opening import open_image
from perceptmetrics.images.options import DecodeOptions, OversizedImageError

__all__ = ["OversizedImageError", "upload_area", "upload_formats"]

upload_formats = readable_formats


def upload_area(stream: IO[bytes], name: str, max_pixels: int) -> int:
    """Read the size of an image from its header, without decoding it.

    The decoder opens the file in the same way, so it finds the same image.

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
    try:
        with open_image(stream, name, DecodeOptions(max_image_pixels=max_pixels)) as image:
            width, height = image.size
    except OversizedImageError as error:
        width, height = error.size
        raise OversizedImageError(
            f"{name} has more than the {max_pixels} pixels allowed: {width} x {height}. Shrink it first.", error.size
        ) from error
    except InvalidImageError as error:
        raise InvalidImageError(
            f"{name} is not an image that can be read. Send {', '.join(upload_formats())} that opens in a viewer."
        ) from error
    return width * height
