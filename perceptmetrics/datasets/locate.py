"""Find the files that labels refer to."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from perceptmetrics.errors import DatasetError, InvalidImageError
from perceptmetrics.images.find import find_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
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

    Some releases spell names and files in different case (`I01_01_1.bmp`, `i01_01_1.BMP`): if no file matches exactly,
    one that differs only in case is used.
    """
    files_in: dict[Path, dict[str, Path]] = {}

    def find(name: str) -> Path | None:
        path = folder / name
        files = files_in.get(path.parent)
        if files is None:
            files = files_in[path.parent] = _files(path.parent)
        return files.get(path.name) or files.get(path.name.lower())

    return [find(name) for name in names]


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_file())
    files = {name.lower(): folder / name for name in names}
    return files | {name: folder / name for name in names}


def find_files(names: Sequence[str], folder: Path) -> list[Path | None]:
    """Find the file of each name; None if missing, or if several files have a bare name.

    A name with folders in it is a path relative to `folder`; a bare name, with or without suffix, may be at any depth.

    Raises:
        DatasetError: `folder` is not a folder, or two names refer to the same file.
    """
    if not folder.is_dir():
        raise DatasetError(f"Expected a folder of images, got {str(folder)!r}, which is not a folder.")
    direct = [folder / name if name and (folder / name).is_file() else None for name in names]
    if all(direct):
        return direct
    files_of: dict[str, list[Path]] = {}
    with contextlib.suppress(InvalidImageError):  # a folder without images: all are missing
        for file in find_images([folder]):
            for key in {file.name, file.stem}:
                files_of.setdefault(key, []).append(file)

    def only_file(name: str) -> Path | None:
        files = files_of.get(name, [])
        return files[0] if len(files) == 1 else None

    found = [file or only_file(name) for file, name in zip(direct, names, strict=True)]
    taken: dict[Path, str] = {}
    for match, name in zip(found, names, strict=True):
        if match is not None and taken.setdefault(match, name) != name:
            raise DatasetError(
                f"The names {taken[match]!r} and {name!r} both refer to {match}. Keep one row per image."
            )
    return found
