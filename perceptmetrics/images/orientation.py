"""Turn images upright by their EXIF orientation, tag 274 alone.

Only that entry is read, and EXIF is never written, so other entries may hold what they will: photographs with an
impossible value elsewhere are common.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

from PIL.Image import Transpose

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

__all__ = ["ORIENTATION", "exif_orientation", "orientation_of", "upright", "upright_array"]

_HEADER = b"Exif\0\0"
ORIENTATION = 274
"""The tag of EXIF and TIFF."""
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
_METHODS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_XMP = re.compile(rb"""tiff:Orientation(?:\s*=\s*["']|>)\s*([1-8])""")


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn an image.

    Args:
        image: As it is stored.
        orientation: 1 to 8, as EXIF defines it; anything else is 1.

    Returns:
        The image as it is meant to be seen.
    """
    method = _METHODS.get(orientation)
    return image if method is None else image.transpose(method)


def upright_array(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn an array of shape (H, W, C) as `upright` turns an image."""
    turned = {
        2: samples[:, ::-1],
        3: samples[::-1, ::-1],
        4: samples[::-1],
        5: samples.swapaxes(0, 1),
        6: samples[::-1].swapaxes(0, 1),
        7: samples[::-1, ::-1].swapaxes(0, 1),
        8: samples[:, ::-1].swapaxes(0, 1),
    }
    return turned.get(orientation, samples)


def orientation_of(info: dict[Any, Any]) -> int:
    """Orientation that the metadata of a file state, in EXIF or, if there is none in it, in XMP.

    Args:
        info: The metadata, as Pillow has them: `image.info`.

    Returns:
        1 to 8; 1 where none is stated.
    """
    exif = info.get("exif")
    if not exif and "Raw profile type exif" in info:
        exif = _from_raw_profile(info["Raw profile type exif"])
    found = exif_orientation(exif) if isinstance(exif, bytes) else None
    if found is None:
        xmp = info.get("xmp", info.get("XML:com.adobe.xmp"))
        xmp = xmp[0] if isinstance(xmp, tuple) and xmp else xmp
        xmp = xmp.encode("utf-8", "replace") if isinstance(xmp, str) else xmp
        stated = _XMP.search(xmp) if isinstance(xmp, bytes) else None
        found = int(stated[1]) if stated else None
    return 1 if found is None else found


def exif_orientation(exif: bytes) -> int | None:
    """Read the orientation from a block of EXIF, whatever else is in it.

    Args:
        exif: The block, with or without the header that JPEG has before it.

    Returns:
        The value as it stands, or None if there is none.
    """
    tiff = exif
    while tiff.startswith(_HEADER):  # some writers repeat it
        tiff = tiff[len(_HEADER) :]
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return None
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    if start + 2 > len(tiff):
        return None
    (count,) = struct.unpack_from(order + "H", tiff, start)
    found = None
    for index in range(count):
        entry = start + 2 + 12 * index
        if entry + 12 > len(tiff):
            break
        tag, kind, values = struct.unpack_from(order + "HHI", tiff, entry)
        if tag == ORIENTATION and kind in _INTEGERS and values:
            (found,) = struct.unpack_from(order + _INTEGERS[kind], tiff, entry + 8)
    return found


def _from_raw_profile(text: object) -> bytes | None:
    """The EXIF block that ImageMagick writes into PNG files as text: a name, a length, and hexadecimal digits."""
    lines = str(text).split("\n")[3:]
    try:
        return bytes.fromhex("".join(lines))
    except ValueError:
        return None
