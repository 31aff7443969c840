"""From uploaded files to pixels: the header first, then, when there is room, the rest."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from perceptmetrics._util.text import printable
from perceptmetrics.apps.service.problems import Refused
from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.load import load_pixels
from perceptmetrics.images.uploads import OversizedImageError, upload_area, upload_formats

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["area_of", "decode", "image_refused"]

_FIX = "Send it as JPEG, PNG or WebP, and see that it opens in a viewer."
_SHOWN = 300


def area_of(stream: IO[bytes], name: str, max_pixels: int) -> int:
    """Read an image's size from its header; see `uploads.upload_area`.

    Raises:
        Refused: It is no image in one of the formats that are read (422), or too large (413).
    """
    try:
        return upload_area(stream, name, max_pixels)
    except OversizedImageError as error:
        raise Refused(
            413, expected=f"images of at most {max_pixels} pixels", got=str(error), fix="Shrink it first."
        ) from error
    except InvalidImageError as error:
        expected = f"an image ({', '.join(upload_formats())})"
        raise Refused(422, expected=expected, got=f"{name}, which is none", fix=_FIX) from error


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
