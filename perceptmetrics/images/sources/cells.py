"""What a cell of a table stands for: an encoded image, the same as text, or a path.

A table may come from a stranger. So its paths are followed only below its own folder, unless more is allowed.
"""

from __future__ import annotations

import base64
import binascii
import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.addresses import is_address
from perceptmetrics.images.limits import check_size
from perceptmetrics.images.spelling import spelled_in

if TYPE_CHECKING:
    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.images.sources.named import ReadOptions

__all__ = ["TableCells"]

_LOCAL = re.compile(r"(?:file|local)://(?=/)", re.IGNORECASE)
_DATA_URL = re.compile(r"data:[^,;]*(?:;[^,;]*)*,", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_\s-]{64,}={0,2}\s*")
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP", b"\0\0\0")
_URL_SAFE = str.maketrans("-_", "+/")


class TableCells:
    """Turns the cells of a column of images into what `load_pixels` takes.

    Args:
        location: Path or address of the table.
        options: Which paths are followed.
    """

    def __init__(self, location: str, options: ReadOptions) -> None:
        self._location = location
        self._anywhere = options.outside_paths
        local = _LOCAL.sub("", location)
        self._folder = local if is_address(local) else os.path.dirname(local) or os.curdir  # noqa: PTH120
        if is_address(local):
            first, *rest = local.split("::")
            self._folder = "::".join([first.rpartition("/")[0], *rest])
        self._real_folder = os.path.realpath(self._folder)

    def source_of(self, cell: Any) -> ImageSource | InvalidImageError:
        """The content of a cell: encoded bytes, a path, or a dictionary of both, whose bytes take precedence."""
        if isinstance(cell, dict):
            cell = cell.get("bytes") or cell.get("path")
        if isinstance(cell, InvalidImageError):
            return cell
        try:
            if isinstance(cell, (bytes, bytearray)):
                check_size(len(cell), "The cell")
                return bytes(cell)
            if isinstance(cell, str) and cell:
                encoded = _decoded(cell)
                return self._followed(cell) if encoded is None else encoded
        except InvalidImageError as error:
            return error
        found = "nothing" if cell is None or cell == "" else type(cell).__name__
        return InvalidImageError(f"The cell holds {found}; expected encoded bytes, a path, or a struct of both.")

    def _followed(self, path: str) -> str:
        local = _LOCAL.sub("", path)
        if is_address(self._folder):
            candidates = [local if is_address(local) or os.path.isabs(local) else _joined(self._folder, local)]  # noqa: PTH117
        elif is_address(local):
            candidates = [local]
        else:
            spelled = spelled_in(Path(self._folder), local)
            candidates = [local, os.path.join(self._folder, spelled)]  # noqa: PTH118 - a Path would lose its form
        followed = [candidate for candidate in candidates if self._anywhere or self._is_below(candidate)]
        if not followed:
            raise InvalidImageError(
                f"{path!r} leads out of the folder of {self._location}, and paths in a table are followed only below "
                "it. If you trust the table, allow others: --outside-paths, or ReadOptions(outside_paths=True)."
            )
        return next((found for found in followed if not is_address(found) and _exists(found)), followed[-1])

    def _is_below(self, path: str) -> bool:
        """Whether a path, its links followed, or an address lies below the table's folder."""
        if is_address(self._folder):
            first, *rest = self._folder.split("::")
            begin, *others = path.split("::")
            inside = begin.startswith(f"{first}/") and rest == others
            return inside and ".." not in unquote(begin).replace("\\", "/").split("/")
        if is_address(path):
            return False
        try:
            real = os.path.realpath(path)
            return os.path.commonpath([real, self._real_folder]) == self._real_folder
        except ValueError:  # a NUL, or another drive
            return False


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:  # a NUL
        return False


def _joined(folder: str, path: str) -> str:
    first, *rest = folder.split("::")
    return "::".join([f"{first}/{posixpath.normpath(path)}" if ".." not in path else f"{first}/{path}", *rest])


def _decoded(text: str) -> bytes | None:
    """The image in a data URL or in base64; None if the text is neither.

    Raises:
        InvalidImageError: It is one of them, but damaged or too large.
    """
    url = _DATA_URL.match(text[:256])
    if url is not None and not url[0].lower().endswith(";base64,"):
        content = unquote_to_bytes(text[url.end() :])
        check_size(len(content), "The data URL")
        return content
    encoded = text[url.end() :] if url is not None else text
    if url is None and not (_BASE64.fullmatch(text) and _begins_like_an_image(text)):
        return None
    check_size(len(encoded) * 3 // 4, "The cell")
    compact = "".join(unquote(encoded).split()).translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidImageError(f"The cell holds an image in base64 that is damaged: {error}.") from error


def _begins_like_an_image(text: str) -> bool:
    begin = "".join(text[:64].split()).translate(_URL_SAFE)[:24]
    return base64.b64decode(begin[: len(begin) // 4 * 4]).startswith(_SIGNATURES)
