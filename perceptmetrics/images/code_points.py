"""What images say about their colours without an ICC profile: code points, and PNG's gamma and chromaticities.

Code points: ITU-T H.273 (https://www.itu.int/rec/T-REC-H.273), tables 2 and 3. PNG: third edition, sections 4.3 and
11.3.2 (https://www.w3.org/TR/png-3/).
"""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING, Any

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.icc import SRGB_PRIMARIES, Point, build_profile

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["profile_of_code_points", "profile_of_gamma"]

_D65, _C, _DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
_SMPTE_170M = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65)
_PRIMARIES: dict[int, tuple[Point, Point, Point, Point]] = {
    1: SRGB_PRIMARIES,
    2: SRGB_PRIMARIES,  # unspecified
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: _SMPTE_170M,
    7: _SMPTE_170M,
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _DCI),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
_GAMMAS: dict[int, float | None] = {
    **dict.fromkeys((1, 2, 6, 13, 14, 15)),  # those of television are shown like sRGB
    4: 2.2,
    5: 2.8,
    8: 1.0,
    17: 2.6,
}
_BRIGHT = {16: "PQ", 18: "HLG"}
_SRGB_GAMMA, _GAMMA_TOLERANCE = 0.45455, 0.012
_POINT_TOLERANCE = 0.005
_BOXES = 1 << 20


def profile_of_code_points(image: Image.Image, stream: IO[bytes], name: str) -> bytes | None:
    """The ICC profile that the code points of a PNG, AVIF or HEIC file stand for; None if there are none.

    Raises:
        InvalidImageError: Its brightness is that of a high-dynamic-range display.
        ValueError: Code points are unknown.
    """
    points = _png_code_points(stream) if image.format == "PNG" else None
    if image.format in ("AVIF", "HEIF"):
        points = _nclx_code_points(stream)
    if points is None:
        return None
    primaries, transfer = points
    if transfer in _BRIGHT:
        raise InvalidImageError(
            f"{name} has the brightness of a high-dynamic-range display ({_BRIGHT[transfer]}), in which white is not "
            'defined. Tone-map it to sRGB, or take its numbers as they are with icc="ignore" (--icc ignore).'
        )
    if primaries not in _PRIMARIES or transfer not in _GAMMAS:
        raise ValueError(f"its code points {primaries}/{transfer} are unknown")
    return build_profile(_PRIMARIES[primaries], _GAMMAS[transfer])


def profile_of_gamma(info: dict[Any, Any]) -> bytes | None:
    """The ICC profile that a PNG's gamma and chromaticities stand for; None if they are those of sRGB, or absent.

    Args:
        info: Metadata, as Pillow has them.

    Raises:
        ValueError: They are impossible.
    """
    gamma, points = info.get("gamma"), info.get("chromaticity")
    if gamma is None or "srgb" in info:
        return None
    if not 0.1 <= gamma <= 10:
        raise ValueError(f"its gamma {gamma:g} is impossible")
    primaries = SRGB_PRIMARIES
    if points is not None:
        white, red, green, blue = ((points[index], points[index + 1]) for index in (0, 2, 4, 6))
        differences = (
            abs(one - other)
            for stated, usual in zip((red, green, blue, white), SRGB_PRIMARIES, strict=True)
            for one, other in zip(stated, usual, strict=True)
        )
        if max(differences) > _POINT_TOLERANCE:
            primaries = (red, green, blue, white)
    usual_gamma = abs(gamma - _SRGB_GAMMA) <= _GAMMA_TOLERANCE  # many writers of sRGB state just this
    if usual_gamma and primaries is SRGB_PRIMARIES:
        return None
    return build_profile(primaries, 1 / gamma)


def _png_code_points(stream: IO[bytes]) -> tuple[int, int] | None:
    """Primaries and transfer function of the chunk `cICP`, which stands before the pixels."""
    stream.seek(8)
    while len(header := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        if kind == b"cICP" and length == 4:
            primaries, transfer, _, _ = stream.read(4)
            return primaries, transfer
        if kind in (b"IDAT", b"IEND"):
            break
        stream.seek(length + 4, 1)
    return None


def _nclx_code_points(stream: IO[bytes]) -> tuple[int, int] | None:
    """Primaries and transfer function of the first box `colr` with code points."""
    stream.seek(0)
    boxes = stream.read(_BOXES)
    start = boxes.find(b"colrnclx")
    if start < 0 or start + 12 > len(boxes):
        return None
    primaries, transfer = struct.unpack_from(">HH", boxes, start + 8)
    return primaries, transfer
