"""How images are decoded: the one set of options for all places that read images.

A metric may have options of its own (`create_metric(icc=...)`), which hold for what it scores. All else, such as the
images of a data set, is read with those of the block `with decoding(options):`, and outside of any with the defaults.
"""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from PIL import Image

from perceptmetrics.errors import InvalidImageError, InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "DEFAULT_DECODING",
    "DecodeOptions",
    "IccHandling",
    "OversizedImageError",
    "check_pixel_count",
    "common_decoding",
    "current_decoding",
    "decode_options",
    "decoding",
]

IccHandling: TypeAlias = Literal["convert", "ignore"]


class OversizedImageError(InvalidImageError):
    """An image has more pixels than allowed.

    Args:
        message: What was expected, what was found, how to fix it.
        size: Width and height of the image.
    """

    def __init__(self, message: str, size: tuple[int, int]) -> None:
        super().__init__(message)
        self.size = size


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """How images are decoded.

    Attributes:
        icc: What colour profiles do: `"convert"` converts the colours to sRGB, `"ignore"` takes the numbers as they
            are, as most other libraries of metrics do.
        max_image_pixels: Largest number of pixels of an image; None for twice `PIL.Image.MAX_IMAGE_PIXELS`, from where
            on Pillow refuses images too, which is 179 megapixels unless you changed it.

    Raises:
        InvalidOptionError: A value is not allowed.
    """

    icc: IccHandling = "convert"
    max_image_pixels: int | None = None

    def __post_init__(self) -> None:
        if self.icc not in get_args(IccHandling):
            raise InvalidOptionError(f"icc must be 'convert' or 'ignore', got {self.icc!r}.")
        limit = self.max_image_pixels
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise InvalidOptionError(f"max_image_pixels must be a number of at least 1, or None, got {limit!r}.")

    @property
    def pixel_limit(self) -> int | None:
        """Largest number of pixels allowed; None for any number, because Pillow's limit was taken away."""
        if self.max_image_pixels is not None:
            return self.max_image_pixels
        return None if Image.MAX_IMAGE_PIXELS is None else 2 * int(Image.MAX_IMAGE_PIXELS)


DEFAULT_DECODING = DecodeOptions()
_current: ContextVar[DecodeOptions] = ContextVar("decoding", default=DEFAULT_DECODING)


@contextlib.contextmanager
def decoding(options: DecodeOptions | None) -> Iterator[None]:
    """Decode images as `options` say wherever the block, and threads that it starts to read images, decode any.

    Args:
        options: How to decode; None to leave it as it is.
    """
    token = _current.set(current_decoding() if options is None else options)
    try:
        yield
    finally:
        _current.reset(token)


def decode_options(icc: IccHandling | None, max_image_pixels: int | None) -> DecodeOptions | None:
    """Options of which some are stated and the others as `current_decoding()` has them; None where none is stated."""
    stated: dict[str, Any] = {"icc": icc, "max_image_pixels": max_image_pixels}
    stated = {name: value for name, value in stated.items() if value is not None}
    return replace(current_decoding(), **stated) if stated else None


def current_decoding() -> DecodeOptions:
    """The options of the innermost block `with decoding(options):`, or the defaults."""
    return _current.get()


def common_decoding(stated: Iterable[DecodeOptions | None]) -> DecodeOptions | None:
    """How metrics that score the same images decode them.

    Args:
        stated: The options of each metric; None where it has none of its own.

    Raises:
        InvalidOptionError: They decode them in different ways.
    """
    stated = list(stated)
    if len({options or current_decoding() for options in stated}) > 1:
        raise InvalidOptionError(
            "Metrics that score the same images must decode them in one way. Create them with the same icc= and "
            "max_image_pixels=."
        )
    return next((options for options in stated if options is not None), None)


def check_pixel_count(size: tuple[int, int], name: str, options: DecodeOptions) -> None:
    """Check the size that an image announces, before it is decoded.

    Args:
        size: Width and height.
        name: What to call the image.
        options: Which size is allowed.

    Raises:
        OversizedImageError: It has too many pixels.
    """
    limit = options.pixel_limit
    if limit is not None and size[0] * size[1] > limit:
        raise OversizedImageError(
            f"{name} is {size[0]} x {size[1]}: it has more than {limit:,} pixels, a limit that guards against "
            "decompression bombs. If you trust the file, raise the limit with max_image_pixels= (--max-image-pixels).",
            size,
        )
