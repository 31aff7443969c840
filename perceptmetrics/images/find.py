"""Find image files: folders, patterns, single files."""

from __future__ import annotations

import glob
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.addresses import is_address, is_address_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["IMAGE_SUFFIXES", "find_images", "is_file_pattern"]

_log = logging.getLogger(__name__)
_FORMATS = ("avif", "bmp", "gif", "jfif", "jp2", "jpe", "jpeg", "jpg", "pgm", "png", "ppm", "tif", "tiff", "webp")
IMAGE_SUFFIXES = frozenset(f".{name}" for name in _FORMATS)


def is_file_pattern(path: str) -> bool:
    """Whether a path names no existing file but holds the wildcards `*`, `?` or `[`, or an address holds them."""
    if is_address(path):
        return is_address_pattern(path)
    return glob.has_magic(path) and not Path(path).exists()


def find_images(
    paths: Iterable[str | os.PathLike[str]], *, recursive: bool = True, fallback: Sequence[str] = ()
) -> Iterator[Path]:
    """Find the image files that paths stand for.

    Args:
        paths: Files (with any suffix), folders (the image files in them, see `IMAGE_SUFFIXES`), or patterns with `*`,
            `?`, `[...]`, and `**` for any depth.
        recursive: Whether to search folders to any depth. Links to folders are not followed. Folders that cannot be
            read are skipped with a warning in the log.
        fallback: Suffixes in lower case to look for in folders that hold no images.

    Yields:
        Files. The matches of a pattern are in alphabetical order, and so are the files of a folder, before those of
        its subfolders.

    Raises:
        InvalidImageError: A folder holds no image, or a pattern matches no file. A single file is not checked; if it
            is missing or unreadable, loading it fails.
    """
    for path in paths:
        name = os.fspath(path)
        files: Iterator[Path]
        if is_file_pattern(name):
            matches = (Path(match) for match in sorted(glob.iglob(name, recursive=True)))
            files = (match for match in matches if match.is_file())
            nothing = f"No file matches {name!r}."
        elif Path(name).is_dir():
            files = _walk_first((tuple(IMAGE_SUFFIXES), tuple(fallback)), Path(name), recursive=recursive)
            nothing = f"The folder {name!r} holds no image ({', '.join([*sorted(IMAGE_SUFFIXES), *fallback])})."
        else:
            files = iter([Path(name)])
            nothing = ""
        found = False
        for file in files:
            found = True
            yield file
        if not found:
            raise InvalidImageError(nothing)


def _report_unreadable(error: OSError) -> None:
    _log.warning("Skipping the folder %s, which cannot be read: %s.", error.filename, error.strerror)


def _walk_first(choices: Sequence[tuple[str, ...]], folder: Path, *, recursive: bool) -> Iterator[Path]:
    """Files with one of the suffixes of the first choice that matches any file."""
    found = False
    for suffixes in filter(None, choices):
        for file in _walk(folder, suffixes, recursive=recursive):
            found = True
            yield file
        if found:
            return


def _walk(folder: Path, suffixes: tuple[str, ...], *, recursive: bool) -> Iterator[Path]:
    for root, folders, files in os.walk(folder, onerror=_report_unreadable):
        folders.sort()
        for file in sorted(files):
            if file.lower().endswith(suffixes) and file.lower() not in suffixes:
                yield Path(root, file)
        if not recursive:
            return
