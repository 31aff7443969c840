"""From uploaded files to pixels: the header first, then, when there is room, the rest."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from PIL import Image

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.io import load_pixels
from perceptmetrics.service.problems import Refused
from perceptmetrics.text import printable

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FORMATS", "area_of", "decode", "image_refused"]

Image.init()
FORMATS = tuple(
    name for name in ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP") if name in Image.OPEN
)
"""The formats that are read; Pillow knows more, some of which run other programs."""

_FIX = "Send it as JPEG, PNG or WebP, and see that it opens in a viewer."
_SHOWN = 300


def area_of(stream: IO[bytes], name: str, max_pixels: int) -> int:
    """Read an image's size from its header; nothing is decoded.

    Args:
        stream: The file.
        name: What to call it.
        max_pixels: Most pixels that are allowed.

    Returns:
        Number of pixels.

    Raises:
        Refused: It is no image in one of `FORMATS` (422), or too large (413).
    """
    try:
        stream.seek(0)
        with Image.open(stream, formats=FORMATS) as image:
            width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many(max_pixels, f"{name} with many more") from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise almost anything on damaged files
        raise Refused(
            422, expected=f"an image ({', '.join(FORMATS)})", got=f"{name}, which is none", fix=_FIX
        ) from error
    if width * height > max_pixels:
        raise _too_many(max_pixels, f"{name} with {width} x {height}")
    return width * height


def decode(stream: IO[bytes], name: str) -> Tensor:
    """Decode an image.

    Args:
        stream: The file.
        name: What to call it.

    Returns:
        Shape (3, H, W), as `io.load_pixels` returns it.

    Raises:
        Refused: It is damaged (422).
    """
    try:
        stream.seek(0)
        return load_pixels(stream.read())
    except InvalidImageError as error:
        raise image_refused(name, error) from error


def image_refused(name: str, error: InvalidImageError) -> Refused:
    """An image that cannot be scored, with the reason."""
    return Refused(
        422,
        expected="images that can be decoded and scored",
        got=f"{name}: {printable(str(error))}"[:_SHOWN],
        fix=_FIX,
    )


def _too_many(max_pixels: int, got: str) -> Refused:
    return Refused(413, expected=f"images of at most {max_pixels} pixels", got=got, fix="Shrink it first.")
