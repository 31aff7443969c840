"""Uploaded images on their way in: size from the header, room for them, then decoding."""

from __future__ import annotations

from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from perceptmetrics._util.text import printable
from perceptmetrics.apps.service.problems import Refused
from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.load import load_pixels
from perceptmetrics.images.uploads import OversizedImageError, upload_area, upload_formats

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from perceptmetrics.images.options import DecodeOptions

__all__ = ["Admission", "area_of", "decode", "image_refused"]

_FIX = "Send it as JPEG, PNG or WebP, and check that it opens in a viewer."
_REASON_LENGTH = 300


def area_of(stream: IO[bytes], name: str, max_pixels: int) -> int:
    """Read an image's number of pixels from its header; see `images.uploads.upload_area`.

    Raises:
        Refused: It is not an image in a supported format (422), or too large (413).
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


class Admission:
    """Limits the images and pixels of all requests in progress. Used from one event loop.

    Args:
        max_images: Maximum number of images at a time.
        max_pixels: Maximum number of pixels at a time; a request that arrives alone is admitted in any case.
    """

    def __init__(self, max_images: int, max_pixels: int) -> None:
        self._max_images = max_images
        self._max_pixels = max_pixels
        self._images = 0
        self._pixels = 0

    @contextmanager
    def admit(self, areas: Sequence[int]) -> Iterator[None]:
        """Hold room for images with these numbers of pixels until the block ends.

        Raises:
            Refused: Too much is in progress (503).
        """
        images, pixels = self._images + len(areas), self._pixels + sum(areas)
        if images > self._max_images or (self._images and pixels > self._max_pixels):
            raise Refused(
                503,
                expected=f"at most {self._max_images} images with {self._max_pixels} pixels in progress",
                got=f"{images} images with {pixels} pixels",
                fix="Send the request again shortly.",
                retry_after=1,
            )
        self._images, self._pixels = images, pixels
        try:
            yield
        finally:
            self._images -= len(areas)
            self._pixels -= sum(areas)


def decode(stream: IO[bytes], name: str, options: DecodeOptions | None) -> Tensor:
    """Decode an image.

    Args:
        stream: The file.
        name: What to call it in errors.
        options: See `images.load.load_pixels`.

    Returns:
        Shape (3, H, W), as `images.load.load_pixels` returns it.

    Raises:
        Refused: It is corrupt (422).
    """
    try:
        stream.seek(0)
        return load_pixels(stream.read(), options)
    except InvalidImageError as error:
        raise image_refused(name, error) from error


def image_refused(name: str, error: InvalidImageError) -> Refused:
    """An image that cannot be scored, with the reason."""
    return Refused(
        422,
        expected="images that can be decoded and scored",
        got=f"{name}: {printable(str(error))}"[:_REASON_LENGTH],
        fix=_FIX,
    )
