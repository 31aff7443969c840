"""How much is taken in at a time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from perceptmetrics.apps.service.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Admission"]


class Admission:
    """Counts the images and pixels of the requests that are being answered. Used from one event loop.

    Args:
        max_images: Most images at a time.
        max_pixels: Most pixels at a time; a request that comes when there is no other is taken in any case.
    """

    def __init__(self, max_images: int, max_pixels: int) -> None:
        self._max_images = max_images
        self._max_pixels = max_pixels
        self._images = 0
        self._pixels = 0

    @contextmanager
    def admit(self, areas: Sequence[int]) -> Iterator[None]:
        """Take images of these areas in pixels in, until the block ends.

        Raises:
            Refused: Too much is being scored at the moment (503).
        """
        images, pixels = self._images + len(areas), self._pixels + sum(areas)
        if images > self._max_images or (self._images and pixels > self._max_pixels):
            raise Refused(
                503,
                expected=f"at most {self._max_images} images with {self._max_pixels} pixels in work at a time",
                got=f"{images} images with {pixels} pixels",
                fix="Send the request again a little later.",
                retry_after=1,
            )
        self._images, self._pixels = images, pixels
        try:
            yield
        finally:
            self._images -= len(areas)
            self._pixels -= sum(areas)
