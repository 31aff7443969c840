"""Find image files: folders, patterns, single files."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.addresses import is_address, is_address_pattern
from perceptmetrics.images.selection import LeftOut, image_suffixes, is_left_out, is_selected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["find_images", "is_file_pattern", "listed"]

_log = logging.getLogger(__name__)


def is_file_pattern(path: str) -> bool:
    """Whether a path names no existing file but holds the wildcards `*`, `?` or `[`, or an address holds them."""
    if is_address(path):
        return is_address_pattern(path)
    return glob.has_magic(path) and not Path(path).exists()


def listed(paths: Any) -> Iterable[str | os.PathLike[str]]:
    """Take one or more paths as an iterable: a single path is a list of one, not its characters.

    Raises:
        InvalidImageError: It is neither a path nor an iterable of paths.
    """
    if isinstance(paths, (str, os.PathLike)):
        return [paths]
    if isinstance(paths, bytes) or not isinstance(paths, Iterable):
        raise InvalidImageError(f"Expected a path or an iterable of paths, got {type(paths).__name__}.")
    return paths


def find_images(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    recursive: bool = True,
    fallback: Sequence[str] = (),
) -> Iterator[Path]:
    """Find the image files that paths stand for.

    Args:
        paths: One or more: files (with any suffix), folders (the image files in them, see `selection.image_suffixes`),
            or patterns with `*`, `?`, `[...]`, and `**` for any depth. Hidden files and folders and those of thumbnails
            are left out unless they are named; images in formats that cannot be read here are left out and named in
            the log.
        recursive: Whether to search folders to any depth. Links to folders are not followed. Folders that cannot be
            read are skipped with a warning in the log.
        fallback: Suffixes in lower case to look for in folders that hold no images.

    Yields:
        Files. The matches of a pattern are in alphabetical order, and so are the files of a folder, before those of
        its subfolders.

    Raises:
        InvalidImageError: A path is empty, a folder holds no image, or a pattern matches no file. A single file is not
            checked; if it is missing or unreadable, loading it fails.
    """
    for path in listed(paths):
        name = os.fspath(path)
        if not name:
            raise InvalidImageError("A path is empty. Name an image, a folder ('.' for this one) or a pattern.")
        if is_file_pattern(name):
            yield from _matches(name)
        elif Path(name).is_dir():
            yield from _images_of_folder(Path(name), tuple(fallback), recursive=recursive)
        else:
            yield Path(name)


def _matches(pattern: str) -> Iterator[Path]:
    found = False
    for match in sorted(glob.iglob(pattern, recursive=True)):
        if is_selected(match, pattern) and not os.path.isdir(match):  # noqa: PTH112 - Path() drops a slash at the end
            found = True
            yield Path(match)
    if not found:
        raise InvalidImageError(f"No file matches {pattern!r}.")


def _images_of_folder(folder: Path, fallback: tuple[str, ...], *, recursive: bool) -> Iterator[Path]:
    """The images of a folder; or, if it holds none, the files with a suffix of `fallback`."""
    suffixes, left_out = tuple(image_suffixes()), LeftOut(str(folder))
    for choice in (suffixes, fallback) if fallback else (suffixes,):
        found = False
        for file in _walk(folder, recursive=recursive):
            if file.name.lower().endswith(choice):
                found = True
                yield file
            elif choice is suffixes:
                left_out.add(file.relative_to(folder).as_posix())
        if found:
            left_out.report()
            return
    unread = f" {left_out}" if left_out else ""
    wanted = ", ".join([*sorted(suffixes), *fallback])
    raise InvalidImageError(f"The folder {str(folder)!r} holds no image ({wanted}).{unread}")


def _report_unreadable(error: OSError) -> None:
    _log.warning("Skipping the folder %s, which cannot be read: %s.", error.filename, error.strerror)


def _walk(folder: Path, *, recursive: bool) -> Iterator[Path]:
    for root, folders, files in os.walk(folder, onerror=_report_unreadable):
        folders[:] = sorted(name for name in folders if recursive and not is_left_out([name]))
        for file in sorted(files):
            if not is_left_out([file]):
                yield Path(root, file)
