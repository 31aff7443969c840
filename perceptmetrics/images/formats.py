"""The image formats that are read, on every road: files, uploads, archives, tables, addresses.

Pillow reads more than these. Some of the others start other programs (EPS starts Ghostscript), and a file may be one
image to one reader and another to the next. So nothing here opens a file without this list. What is not on it is
refused by the name of its format.
"""

from __future__ import annotations

import functools
import re

from PIL import Image

__all__ = ["FORMATS", "PLUGIN_FORMATS", "foreign_format", "readable_formats"]

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000")
"""Formats that Pillow reads by itself, by Pillow's names, in the order in which they are tried."""
PLUGIN_FORMATS = ("AVIF", "HEIF", "JXL")
"""Formats that some builds and plug-ins of Pillow read: Pillow 11.3, pillow-heif, pillow-jxl-plugin."""

_CONVERT = "Convert it to PNG, JPEG or TIFF."
_HEIF = "Install pillow-heif and call pillow_heif.register_heif_opener(), or convert it."
_DEVELOP = "Develop it to TIFF or PNG with a raw converter."
_FOREIGN: tuple[tuple[str, str, str], ...] = (
    (r"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg\b", "an SVG drawing", "Render it to PNG."),
    (r"\s*<(!DOCTYPE html|html)\b", "a page in HTML, not an image", "Check where it was downloaded from."),
    (r"%!PS|\xc5\xd0\xd3\xc6", "PostScript (EPS, PS), which is a program", "Render it to PNG."),
    (r"%PDF-", "a PDF document", "Render its pages to PNG."),
    (r"\xd7\xcd\xc6\x9a|\x01\x00\x00\x00.{36} EMF", "a Windows metafile (WMF, EMF)", "Render it to PNG."),
    (r".{4}ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1)", "a HEIC image", _HEIF),
    (r".{4}ftypavi[fs]", "an AVIF image", "Install Pillow 11.3 or newer, or convert it."),
    (r"\xff\x0a|\x00\x00\x00\x0cJXL \r\n\x87\n", "a JPEG XL image", "Install pillow-jxl-plugin and import it."),
    (r".{4}ftypcrx", "a camera raw image (CR3)", _DEVELOP),
    (r".{4}ftyp", "a video", "Score it with perceptmetrics.score_video."),
    (r"FUJIFILMCCD-RAW|II[RU][OS\x00]|\x00MRM", "a camera raw image", _DEVELOP),
    (r"8BPS", "a Photoshop document (PSD)", _CONVERT),
    (r"\x76\x2f\x31\x01|#\?RADIANCE|#\?RGBE", "a high-dynamic-range image (EXR, HDR)", "Tone-map it to PNG."),
    (r"II\xbc", "a JPEG XR image", _CONVERT),
    (r"DDS |\x00\x00[\x01\x02]\x00|icns|qoif|gimp xcf|\x01\xda", "an image in a rare format", _CONVERT),
)
_SIGNATURES = tuple(
    (re.compile(pattern.encode("latin-1"), re.DOTALL | re.IGNORECASE), what, advice)
    for pattern, what, advice in _FOREIGN
)


def readable_formats() -> tuple[str, ...]:
    """The formats that can be read here, by Pillow's names: those of plug-ins too, where they are registered."""
    _import_plugins()
    return tuple(name for name in (*FORMATS, *PLUGIN_FORMATS) if name in Image.OPEN)


@functools.cache
def _import_plugins() -> None:
    Image.init()


def foreign_format(beginning: bytes) -> tuple[str, str] | None:
    """Name a format that is not read.

    Args:
        beginning: The first 1,000 bytes or so of a file.

    Returns:
        What it is and what to do; None if it is unknown.
    """
    for pattern, what, advice in _SIGNATURES:
        if pattern.match(beginning):
            return what, advice
    return None
