"""Layouts of TIFF files: those that Pillow decodes wrongly are put right, or refused by name.

See the specification, TIFF 6.0 (https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf), section 8 for the tags.
`tests/unit/test_tiff_layouts.py` compares a grid of layouts with tifffile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal

from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.orientation import ORIENTATION
from perceptmetrics.images.pillow import DECODING_ERRORS, tile_like

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["SampleMeaning", "describe_tiff", "has_odd_planes", "meaning_of_samples", "prepare_tiff", "tiff_orientation"]

_REDUCED, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR = 254, 258, 259, 262, 277, 284
_SUB_IFDS, _EXTRA, _FORMAT, _DNG = 330, 338, 339, 50706
_WHITE_IS_ZERO, _SEPARATED, _YCBCR = 0, 5, 6
_PLANES = (0, 1, 2, 5)  # grey, RGB, CMYK
_BIG_TIFF = 43
_SEPARATE = 2
_SIGNED = 2
_DESCRIBED = (
    ("photometric interpretation", _PHOTOMETRIC, 0),
    ("bits", _BITS, 1),
    ("sample format", _FORMAT, 1),
    ("extra samples", _EXTRA, ()),
    ("planar configuration", _PLANAR, 1),
    ("compression", _COMPRESSION, 1),
)
_NATIVE = {"F;32F": "F;32NF", "F;32BF": "F;32NF", "I;32S": "I;32NS", "I;32BS": "I;32NS"}
"""libtiff gives samples in the byte order of the machine; Pillow takes these for those of the file."""


def prepare_tiff(image: Image.Image, name: str) -> None:
    """Make Pillow decode an opened TIFF as the file says.

    Args:
        image: The file, opened and not loaded. Images of other formats are left alone.
        name: What to call it.

    Raises:
        InvalidImageError: The layout is one that cannot be read right.
    """
    if not isinstance(image, TiffImageFile) or not image.tile:
        return
    tags, refused = image.tag_v2, ""
    depth = max(_tuple(tags.get(_BITS, 1)))
    if _DNG in tags or (_SUB_IFDS in tags and int(tags.get(_REDUCED, 0)) & 1):
        refused = "a camera raw image, whose first picture is a preview. Develop it with a raw converter"
    elif _SIGNED in _tuple(tags.get(_FORMAT, 1)) and depth < 32:
        refused = f"a TIFF of signed {depth}-bit numbers, which do not say what black is. Save unsigned numbers"
    if refused:
        raise InvalidImageError(f"{name} is {refused}.")
    codec, _, _, arguments = image.tile[0]
    if codec == "raw" and tags.get(_PHOTOMETRIC) == _YCBCR:
        _decode_with_libtiff(image)
    elif codec == "libtiff" and isinstance(arguments, tuple) and arguments[0] in _NATIVE:
        image.tile = [tile_like(image.tile[0], args=(_NATIVE[arguments[0]], *arguments[1:]))]


def has_odd_planes(image: TiffImageFile) -> bool:
    """Whether an opened TIFF has its channels one after the other, in a layout that Pillow reads wrongly or in part."""
    tags = image.tag_v2
    if tags.get(_PLANAR, 1) != _SEPARATE or tags.get(_SAMPLES, 1) < 2 or tags.get(_PHOTOMETRIC) not in _PLANES:
        return False
    return image.mode == "LA" or _EXTRA in tags or max(_tuple(tags.get(_BITS, 1))) > 8


def describe_tiff(stream: IO[bytes]) -> str:
    """The layout of a TIFF that Pillow does not open, in words; empty if not even that can be read."""
    try:
        stream.seek(0)
        header = stream.read(8)
        tags = ImageFileDirectory_v2(header + (stream.read(8) if header[2] == _BIG_TIFF else b""))
        stream.seek(tags.next)
        tags.load(stream)
        stated = {label: tags.get(tag, default) for label, tag, default in _DESCRIBED}
    except DECODING_ERRORS:
        return ""
    return "its layout is not supported: " + ", ".join(f"{label} {value}" for label, value in stated.items())


@dataclass(frozen=True)
class SampleMeaning:
    """What samples mean that Pillow gives as they are stored; the defaults are those of all formats but TIFF.

    Attributes:
        white_is_zero: Whether they are a negative, which Pillow leaves one: it inverts 8 bits, not 16 bits and floats.
        white: The 16-bit number that stands for white.
        alpha: What an additional channel is: opacity, which the colours are multiplied by (`"premultiplied"`) or not
            (`"straight"`); None for something else.
        cmyk: Whether the colours are amounts of ink.
    """

    white_is_zero: bool = False
    white: int = 65535
    alpha: Literal["straight", "premultiplied"] | None = "straight"
    cmyk: bool = False


def meaning_of_samples(image: Image.Image) -> SampleMeaning:
    """What the samples of an opened image mean, by the tags of a TIFF."""
    if not isinstance(image, TiffImageFile):
        return SampleMeaning()
    tags = image.tag_v2
    extra = _tuple(tags.get(_EXTRA, (2,)))
    return SampleMeaning(
        white_is_zero=tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO) == _WHITE_IS_ZERO,
        white=2 ** min(16, *_tuple(tags.get(_BITS, 16))) - 1,
        alpha={0: None, 1: "premultiplied"}.get(extra[0], "straight"),
        cmyk=tags.get(_PHOTOMETRIC) == _SEPARATED,
    )


def tiff_orientation(image: Image.Image) -> int | None:
    """Orientation by the tag of a TIFF; None if it has none, or is none."""
    stated = image.tag_v2.get(ORIENTATION) if isinstance(image, TiffImageFile) else None
    return stated if isinstance(stated, int) else None


def _decode_with_libtiff(image: Any) -> None:
    """Replace Pillow's own decoder of uncompressed data, which takes YCbCr for RGB; libtiff converts it."""
    size = getattr(image, "_tile_size", image.size)
    arguments = ("RGBX", "raw", False, image.tag_v2.offset)
    image.use_load_libtiff = True
    image.tile = [tile_like(image.tile[0], codec_name="libtiff", extents=(0, 0, *size), offset=0, args=arguments)]


def _tuple(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else (int(value),)
