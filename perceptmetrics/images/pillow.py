"""What several modules know about the inside of Pillow: its errors, its tiles, and how to load without its flag."""

from __future__ import annotations

import functools
import struct
import types
import zlib
from typing import Any

from PIL import Image, ImageFile

from perceptmetrics.errors import InvalidImageError

__all__ = ["DECODING_ERRORS", "load_strictly", "tile_like"]

DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
    Warning,
    Image.DecompressionBombError,
)
"""What Pillow's decoders raise on corrupt files: nearly everything but what a mistake in code raises."""

_FLAG = "LOAD_TRUNCATED_IMAGES"


def load_strictly(image: Image.Image) -> None:
    """Decode an image that was opened but not loaded; if it is truncated, fail whatever `LOAD_TRUNCATED_IMAGES` says.

    Args:
        image: Any image of Pillow's; one that is loaded already stays as it is.

    Raises:
        InvalidImageError: Loading it would start another program.
        OSError: It is truncated or corrupt; Pillow raises other errors too, see `DECODING_ERRORS`.
    """
    if not isinstance(image, ImageFile.ImageFile):
        image.load()
        return
    kind: Any = type(image)
    if isinstance(image, ImageFile.StubImageFile) or (kind.format == "EPS" and image.tile):
        raise InvalidImageError(
            f"The PIL image is {kind.format}, which Pillow decodes with another program. If you trust it, call its "
            "load() first."
        )
    image.__class__ = _strict(kind)
    try:
        image.load()
    finally:
        image.__class__ = kind


def tile_like(tile: Any, **changes: Any) -> Any:
    """One of Pillow's descriptions of where pixels lie in a file, with some of its fields changed."""
    if hasattr(tile, "_replace"):
        return tile._replace(**changes)
    fields = dict(zip(("codec_name", "extents", "offset", "args"), tile, strict=True))  # a plain tuple in Pillow 10
    return tuple({**fields, **changes}.values())


class _Strict(ImageFile.ImageFile):
    """Loads as `ImageFile` does where `LOAD_TRUNCATED_IMAGES` is not set."""


@functools.cache
def _strict(kind: Any) -> Any:
    """A subclass of one of Pillow's readers, in all of whose methods `LOAD_TRUNCATED_IMAGES` is False."""
    owners = kind.__mro__[: kind.__mro__.index(ImageFile.ImageFile)]
    methods = {
        name: _without_flag(method)
        for owner in reversed(owners)
        for name, method in vars(owner).items()
        if isinstance(method, types.FunctionType) and _FLAG in method.__code__.co_names
    }
    return type(kind.__name__, (kind, _Strict), methods)


def _without_flag(function: Any) -> Any:
    """A copy of a function for which `LOAD_TRUNCATED_IMAGES` is False, by itself and as part of `ImageFile`.

    The flag belongs to the process, so it can be neither changed for the moment, which other threads would notice, nor
    trusted to stay as it is.
    """
    known = {
        **function.__globals__,
        _FLAG: False,
        "ImageFile": types.SimpleNamespace(**{**vars(ImageFile), _FLAG: False}),
    }
    copy = types.FunctionType(function.__code__, known, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


_Strict.load = _without_flag(ImageFile.ImageFile.load)  # type: ignore[method-assign]
