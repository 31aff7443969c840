"""Embed images in a page as data URIs."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.load import load_image
from perceptmetrics.images.opening import open_image
from perceptmetrics.images.options import DEFAULT_DECODING

if TYPE_CHECKING:
    from perceptmetrics.images.load import ImageSource

__all__ = ["faithful_uri", "jpeg_uri", "png_uri", "thumbnail", "thumbnail_or_grey"]

_DISPLAYED = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


def thumbnail(source: ImageSource, max_side: int) -> Image.Image:
    """Load an image as it is scored (upright, transparency over white) and shrink it.

    Args:
        source: See `images.load.load_image`.
        max_side: Longest side in pixels; smaller images keep their size.

    Returns:
        RGB image.

    Raises:
        InvalidImageError: The image cannot be read.
    """
    pixels = load_image(source).mul(255).round().byte()
    image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return image


def thumbnail_or_grey(source: ImageSource, max_side: int) -> Image.Image:
    """Return `thumbnail`, or a grey square if the image can no longer be read."""
    try:
        return thumbnail(source, max_side)
    except InvalidImageError:
        return Image.new("RGB", (max_side, max_side), "#9ca3af")


def jpeg_uri(image: Image.Image, quality: int = 85) -> str:
    """Encode an image as a data URI of a JPEG of the given quality (1 to 95)."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality, optimize=True)
    return _uri("image/jpeg", buffer.getvalue())


def png_uri(content: bytes) -> str:
    """Encode the content of a PNG file as a data URI."""
    return _uri("image/png", content)


def faithful_uri(path: str | Path, max_side: int) -> str:
    """Encode an image as a data URI without loss of quality where possible.

    An opaque JPEG, PNG or WebP file within `max_side` is embedded byte for byte, metadata included. Anything else
    becomes a PNG, or a JPEG of quality 95 if it has to be shrunk.

    Args:
        path: The file.
        max_side: Longest side in pixels.

    Raises:
        InvalidImageError: The image cannot be read.
    """
    content = Path(path).read_bytes()
    image = open_image(io.BytesIO(content), str(path), DEFAULT_DECODING)
    plain = getattr(image, "n_frames", 1) == 1 and not image.has_transparency_data
    if image.format in _DISPLAYED and plain and max(image.size) <= max_side:
        return _uri(_DISPLAYED[image.format], content)
    if max(image.size) > max_side:
        return jpeg_uri(thumbnail(content, max_side), quality=95)
    buffer = io.BytesIO()
    thumbnail(content, max_side).save(buffer, format="PNG")
    return png_uri(buffer.getvalue())


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
