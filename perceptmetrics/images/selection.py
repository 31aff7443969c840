"""Which files are images, and which are left out: one rule for folders, patterns, addresses and archives.

Left out are hidden files and folders, the folders in which systems keep thumbnails and bookkeeping, and images in
formats that cannot be read here. The latter are counted and named in the log.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["IMAGE_SUFFIXES", "LeftOut", "image_suffixes", "is_left_out", "is_selected"]

_log = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("apng", "avif", "bmp", "gif", "j2k", "jfif", "jp2", "jpe", "jpeg", "jpf", "jpg", "jpx", "mpo"),
        *("pbm", "pgm", "png", "pnm", "ppm", "tif", "tiff", "webp"),
    )
)
"""Suffixes of images in formats that Pillow reads by itself."""

_PLUGIN_FORMATS = ("AVIF", "HEIF", "JXL")
_UNREAD_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("avif", "avifs", "heic", "heics", "heif", "heifs", "hif", "jxl", "jxr", "wdp"),
        *("exr", "hdr", "pfm", "psb", "psd", "qoi", "tga"),
        *("3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "iiq", "kdc", "mrw", "nef", "nrw", "orf", "pef"),
        *("raf", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
    )
)
_SYSTEM_FOLDERS = frozenset(
    {
        *("@__thumb", "@eadir", "@recently-snapshot", "@recycle", "#recycle", "#snapshot"),  # network storage
        *("$recycle.bin", "__macosx", "system volume information"),
        *("_delta_log", "_temporary"),  # Delta Lake, Spark
    }
)
_NAMED = 5


def image_suffixes() -> frozenset[str]:
    """Suffixes, in lower case, of the images that can be read here: also those of Pillow's plug-ins in use."""
    registered = Image.registered_extensions()
    plugged = {suffix for suffix, name in registered.items() if name.upper() in _PLUGIN_FORMATS and name in Image.OPEN}
    return (IMAGE_SUFFIXES | plugged) - {suffix for suffix in (".avif",) if suffix not in plugged}


def is_left_out(parts: Iterable[str]) -> bool:
    """Whether a file is hidden, or lies in a hidden folder or one of thumbnails.

    Args:
        parts: Its name and the names of the folders above it, from where the search began.
    """
    return any((part.startswith(".") and part.strip(".")) or part.lower() in _SYSTEM_FOLDERS for part in parts)


def is_selected(path: str, pattern: str) -> bool:
    """Whether a match of a pattern counts: what is left out counts where the pattern names it, as in `.cache/*.png`.

    Args:
        path: The match.
        pattern: The pattern, which begins like the path.
    """
    asked = PurePath(pattern).parts
    fixed = next((index for index, part in enumerate(asked) if re.search(r"[*?\[]", part)), len(asked))
    beginnings = [beginning for part in asked[fixed:] if (beginning := re.split(r"[*?\[]", part)[0])]
    hidden = (part for part in PurePath(path).parts[fixed:] if is_left_out([part]))
    return all(any(part.startswith(beginning) for beginning in beginnings) for part in hidden)


class LeftOut:
    """Counts the images of a place that are left out because their format cannot be read here.

    Args:
        place: The folder, address or archive.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._unread = _UNREAD_SUFFIXES - image_suffixes()
        self._counts: Counter[str] = Counter()
        self._names: list[str] = []

    def add(self, name: str) -> None:
        """Count a file, if it is such an image."""
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in self._unread:
            self._counts[suffix] += 1
            self._names += [name] if len(self._names) < _NAMED else []

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(self._counts.items()))
        names = ", ".join(self._names) + (", ..." if self._counts.total() > len(self._names) else "")
        return (
            f"{self._counts.total()} images in formats that cannot be read here are left out ({kinds}): {names}. "
            "Install a plug-in of Pillow for them (pillow-heif for HEIC), or convert them."
        )

    def __bool__(self) -> bool:
        return bool(self._counts)

    def report(self) -> None:
        """Name them in the log."""
        if self:
            _log.warning("%s: %s", self._place, self)
