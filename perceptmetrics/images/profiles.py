"""Colour profiles: what the numbers of an image mean, and their conversion to sRGB.

An image says what its numbers mean by an ICC profile, or by code points (`cICP` in PNG, `nclx` in AVIF and HEIC), or,
in PNG, by a gamma and chromaticities. Without any, they are sRGB. The conversion is littleCMS's, relative
colorimetric; colours outside sRGB are clipped. A profile that agrees with sRGB to two levels of 255 counts as sRGB, and
leaves every pixel as it is.
"""

from __future__ import annotations

import functools
import io
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageCms

from perceptmetrics.errors import InvalidImageError, first_line
from perceptmetrics.images.code_points import profile_of_code_points, profile_of_gamma
from perceptmetrics.images.icc import MatrixProfile, read_matrix_profile

if TYPE_CHECKING:
    from typing import IO

    from numpy.typing import NDArray

__all__ = ["Profile", "profile_of"]

_log = logging.getLogger(__name__)
_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_SAME = 2  # levels of 255
_UNUSABLE = (ImageCms.PyCMSError, OSError, ValueError, TypeError, ImportError)


@dataclass(frozen=True, eq=False)
class Profile:
    """A colour profile that is not sRGB.

    Attributes:
        mode: Mode of the images that it belongs to: `"RGB"`, `"L"` or `"CMYK"`.
        transform: littleCMS's conversion to sRGB.
        matrix: The same at full precision; None if the profile holds tables.
    """

    mode: str
    transform: ImageCms.ImageCmsTransform
    matrix: MatrixProfile | None

    def convert(self, image: Image.Image) -> Image.Image:
        """Convert an image with 8 bits to RGB, or to RGBA if it has transparency."""
        alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
        if self.mode == "L" and image.mode in ("LA", "La", "1"):
            image = image.convert("L")
        converted = self.transform.apply(image if image.mode == self.mode else image.convert(self.mode))
        if alpha is not None:
            converted.putalpha(alpha)
        return converted

    def convert_samples(self, samples: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        """Convert samples with more than 8 bits.

        Args:
            samples: Shape (H, W, C), in [0, 1]: the colours that the profile belongs to, or grey.
            name: What to call the image.

        Returns:
            Shape (H, W, 1) or (H, W, 3), sRGB in [0, 1].
        """
        if self.matrix is not None:
            return self.matrix.to_srgb(samples)
        _log.warning("%s: its colour profile is a table, so it is converted with 8 bits.", name)
        eight = np.round(samples * 255).astype(np.uint8)
        mode = "L" if eight.shape[2] == 1 else self.mode
        image = Image.frombytes(mode, eight.shape[1::-1], eight.tobytes())
        return np.asarray(self.convert(image)).astype(np.float32) / np.float32(255)


def profile_of(image: Image.Image, name: str, stream: IO[bytes] | None = None) -> Profile | None:
    """The profile by which an image is to be converted.

    A profile that is corrupt, or belongs to images of another kind, is ignored with a warning in the log.

    Args:
        image: The image, opened and perhaps not loaded.
        name: What to call it.
        stream: Its file; None if there is none any more.

    Returns:
        The profile; None if the image is in sRGB, or says nothing.

    Raises:
        InvalidImageError: Its brightness is that of a high-dynamic-range display.
    """
    if image.mode == "LAB":
        return None
    try:
        stated = image.info.get("icc_profile") or None
        points = None if stream is None else profile_of_code_points(image, stream, name)
        icc = points if points is not None and image.format == "PNG" else stated or points
        icc = icc or profile_of_gamma(image.info)
        if not isinstance(icc, bytes):
            return None
        return _profile(icc, _kind(image))
    except InvalidImageError:
        raise
    except _UNUSABLE as error:
        _log.warning("%s: its colour profile is ignored: %s.", name, first_line(error).rstrip("."))
        return None


def _kind(image: Image.Image) -> str:
    if image.mode in ("CMYK", "LAB"):
        return image.mode
    return "L" if image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;") else "RGB"


@functools.lru_cache(maxsize=32)
def _profile(icc: bytes, kind: str) -> Profile | None:
    """Read a profile for images of a kind: `"RGB"`, `"L"` or `"CMYK"`; None if it is sRGB."""
    opened = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    space = opened.profile.xcolor_space
    mode = _MODES.get(space)
    if mode is None or (mode == "CMYK") != (kind == "CMYK") or (mode == "L" and kind != "L"):
        raise ValueError(f"it is for {space.strip()}, and the image is {'grey' if kind == 'L' else kind}")
    transform: Any = ImageCms.buildTransform(
        opened, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    if mode != "CMYK" and _is_identity(transform, mode):
        return None
    return Profile(mode, transform, None if mode == "CMYK" else read_matrix_profile(icc))


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a conversion leaves a sample of colours, or all greys, as they are."""
    if mode == "L":
        probe = np.arange(256, dtype=np.uint8)[None]
        expected = np.repeat(probe[..., None], 3, axis=-1)
    else:
        steps = np.linspace(0, 255, 18).round().astype(np.uint8)
        probe = expected = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(18, -1, 3)
    converted = np.asarray(transform.apply(Image.fromarray(probe)))
    return bool(np.abs(converted.astype(int) - expected).max() <= _SAME)
