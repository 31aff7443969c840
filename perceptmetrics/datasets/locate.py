"""Find the files that labels refer to."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from perceptmetrics._util.text import composed
from perceptmetrics.errors import DatasetError, InvalidImageError
from perceptmetrics.images.find import find_images
from perceptmetrics.images.spelling import spellings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

__all__ = ["find_files", "first_folder", "locate", "one_of"]


def one_of(root: Path, *candidates: str) -> Path:
    """Return the first file below `root` that exists.

    Args:
        root: Folder of the data set.
        candidates: Paths relative to it, one for each layout in circulation.

    Raises:
        DatasetError: None exists; the message lists them.
    """
    return _first(root, candidates, "file", (path for path in _below(root, candidates) if path.is_file()))


def first_folder(root: Path, *candidates: str) -> Path:
    """Return the first folder below `root` that exists; see `one_of`.

    Raises:
        DatasetError: None exists; the message lists them.
    """
    return _first(root, candidates, "folder", (path for path in _below(root, candidates) if path.is_dir()))


def _below(root: Path, candidates: Sequence[str]) -> Iterable[Path]:
    return (root / candidate for candidate in candidates)


def _first(root: Path, candidates: Sequence[str], what: str, found: Iterable[Path]) -> Path:
    if not root.is_dir():
        raise DatasetError(f"Expected the folder of a data set, got {str(root)!r}, which is not a folder.")
    path = next(iter(found), None)
    if path is None:
        inside = sorted(entry.name for entry in root.iterdir())[:8]
        raise DatasetError(
            f"Expected the {what} {' or '.join(map(repr, candidates))} in {root}, got "
            f"{', '.join(inside) or 'nothing'}. Unpack the official download there, or pass the folder of it."
        )
    return path


def locate(folder: Path, names: Iterable[str]) -> list[Path | None]:
    """Find the file of each name, a path relative to `folder`; None if missing.

    Some releases spell names and files in different case (`I01_01_1.bmp`, `i01_01_1.BMP`), and some systems decompose
    letters with accents: if no file matches exactly, one that differs only in this is used.
    """
    files_in: dict[Path, dict[str, Path]] = {}

    def find(name: str) -> Path | None:
        path = folder / name
        files = files_in.get(path.parent)
        if files is None:
            files = files_in[path.parent] = _files(path.parent)
        return files.get(path.name) or files.get(_folded(path.name))

    return [find(name) for name in names]


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_file())
    files = {_folded(name): folder / name for name in names}
    return files | {name: folder / name for name in names}


def _folded(name: str) -> str:
    return composed(name).lower()


def find_files(names: Sequence[str], folder: Path) -> list[Path | None]:
    """Find the file of each name; None if missing, or if several files have a bare name.

    A name with folders in it is a path relative to `folder`; a bare name, with or without suffix, may be at any depth.
    A name without a file of exactly this name stands for the only one whose name is equal in composed Unicode (NFC) and
    without blanks around it. See `spellings` for what else a name may stand for.

    Raises:
        DatasetError: `folder` is not a folder, or two names refer to the same file.
    """
    if not folder.is_dir():
        raise DatasetError(f"Expected a folder of images, got {str(folder)!r}, which is not a folder.")
    found = [_direct(name, folder) for name in names]
    if not all(found):
        files: list[Path] = []
        with contextlib.suppress(InvalidImageError):  # a folder without images: all are missing
            files += find_images([folder])
        for normal in (str, _trimmed):
            only = _only_files(files, folder, normal)
            for index, name in enumerate(names):
                if found[index] is None:
                    matches = (only.get(normal(spelling)) for spelling in spellings(name))
                    found[index] = next(filter(None, matches), None)
    taken: dict[Path, str] = {}
    for match, name in zip(found, names, strict=True):
        if match is not None and taken.setdefault(match, name) != name:
            raise DatasetError(
                f"The names {taken[match]!r} and {name!r} both refer to {match}. Keep one row per image."
            )
    return found


def _direct(name: str, folder: Path) -> Path | None:
    """The file of a path relative to a folder."""
    for path in (folder / spelling for spelling in spellings(name) if spelling not in ("", ".")):
        with contextlib.suppress(OSError, ValueError):  # a name that is too long or contains a null character
            if path.is_file():
                return path
    return None


def _only_files(files: Iterable[Path], folder: Path, normal: Callable[[str], str]) -> dict[str, Path]:
    """Files by bare name, with and without suffix, and by path relative to the folder, where one has it alone."""
    only: dict[str, Path | None] = {}
    for file in files:
        for key in {normal(key) for key in (file.name, file.stem, file.relative_to(folder).as_posix())}:
            only[key] = None if key in only else file
    return {key: file for key, file in only.items() if file is not None}


def _trimmed(name: str) -> str:
    return composed(name).strip()
