"""Find the files of images that an annotation tool refers to by addresses of its own."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from perceptmetrics.datasets.locate import find_files
from perceptmetrics.errors import DatasetError
from perceptmetrics.images.selection import image_suffixes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["find_references", "is_image_reference", "path_of"]

_LOCAL, _UPLOAD = "/data/local-files", "/data/upload/"
_HASHED = re.compile(r"[0-9a-f]{8}-(.+)")  # Label Studio puts a part of a random number before the name of an upload


def is_image_reference(text: str) -> bool:
    """Whether a text is the address or path of an image."""
    return text.startswith("data:image/") or path_of(text).lower().endswith(tuple(image_suffixes()))


def path_of(reference: str) -> str:
    """The path in a reference: of an address, of `/data/local-files/?d=PATH`, of a file in a cloud storage, or itself.

    Args:
        reference: Such as `s3://bucket/photos/a.jpg`, `https://host/a.jpg?width=200`, `/data/upload/3/0a1b2c3d-a.jpg`.
    """
    text = reference.strip()
    try:
        parts = urlsplit(text)
        query = parse_qs(parts.query)
    except ValueError:  # no address
        return text
    if parts.path.rstrip("/").endswith(_LOCAL) and "d" in query:
        return query["d"][0].replace("\\", "/")
    if "fileuri" in query:
        try:
            return path_of(base64.b64decode(query["fileuri"][0], validate=True).decode())
        except (binascii.Error, UnicodeDecodeError):
            return text
    has_scheme = len(parts.scheme) > 1  # C:\photos has none
    if has_scheme or _UPLOAD in text:
        return unquote(parts.path).lstrip("/")
    return text.replace("\\", "/")


def find_references(references: Sequence[str], root: Path) -> list[Path | None]:
    """Find the file of each reference; None if missing.

    It is the file with the longest end of the reference's path below `root`; otherwise one of the same name at any
    depth, for an upload also without the eight digits that Label Studio puts before its name.

    Args:
        references: What the export says.
        root: Folder of the images.

    Raises:
        DatasetError: An image is in the export itself, `root` is not a folder, or two references stand for one file.
    """
    inside = next((one for one in references if one.startswith("data:")), None)
    if inside is not None:
        raise DatasetError(
            f"The export holds an image itself ({inside[:40]}...). Save it as a file, and import its path or address."
        )
    paths = [path_of(reference) for reference in references]
    found = [_below(root, path) for path in paths]
    for name_of in (_bare, _without_hash):
        open_ones = [index for index, file in enumerate(found) if file is None and name_of(paths[index])]
        files = find_files([name_of(paths[index]) for index in open_ones], root) if open_ones else []
        for index, file in zip(open_ones, files, strict=True):
            found[index] = file
    taken: dict[Path, str] = {}
    for file, reference in zip(found, references, strict=True):
        if file is not None and taken.setdefault(file, reference) != reference:
            raise DatasetError(
                f"{taken[file]!r} and {reference!r} both stand for {file}. If they are different images, give the "
                "files the names that the export uses; if they are the same, give them the same path in the export."
            )
    return found


def _below(root: Path, path: str) -> Path | None:
    """The file with the longest end of a path below a folder."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path:
        return None
    files = (root.joinpath(*parts[start:]) for start in range(len(parts)))
    try:
        return next((file for file in files if file.is_file()), None)
    except OSError:  # a name that is too long
        return None


def _bare(path: str) -> str:
    return path.rpartition("/")[2]


def _without_hash(path: str) -> str:
    match = _HASHED.fullmatch(_bare(path))
    return match[1] if match else ""
