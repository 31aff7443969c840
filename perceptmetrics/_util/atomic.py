"""Write files and folders atomically: they appear complete or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import secrets
import shutil
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from perceptmetrics._util.full_disk import explain_full_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["recover_folder", "replacing", "replacing_folder", "write_whole"]

_CURRENT_FOLDER = -100  # AT_FDCWD of Linux
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
_ABANDONED = 86_400  # seconds


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name beside it; if the block ends without error, it replaces the file.

    Args:
        path: The file; its folder is created if it is missing.

    Yields:
        The temporary path; no file exists there yet.

    Raises:
        FullDiskError: There is no room for it.
    """
    temporary = _temporary_name(path)
    try:
        with explain_full_disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically; when this returns it is on the disk."""
    with replacing(path) as temporary, temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name beside it; if the block ends without error, it replaces the folder.

    A process that is killed at any moment leaves the old folder or the new one. Where the system cannot exchange two
    folders, the old one may be left under another name; `recover_folder` brings it back.

    Args:
        path: The folder; its former content is removed at the end.

    Yields:
        The temporary folder.

    Raises:
        FullDiskError: There is no room for it.
    """
    temporary = _temporary_name(path)
    try:
        with explain_full_disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            recover_folder(path)
            _remove_abandoned(path)
            temporary.mkdir()
            yield temporary
        if not path.exists():
            temporary.rename(path)
        elif not _exchange(temporary, path):
            _replace_in_two_steps(path, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def recover_folder(path: Path) -> None:
    """Bring a folder back that a killed process had moved away to replace it, where the system cannot exchange two."""
    former = _former_name(path)
    if former.is_dir() and not path.exists():
        former.rename(path)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two paths in a single step, so that both exist at any time; False where that is not possible."""
    if sys.platform == "linux":
        name, arguments = "renameat2", (_CURRENT_FOLDER, os.fsencode(one), _CURRENT_FOLDER, os.fsencode(other))
    elif sys.platform == "darwin":
        name, arguments = "renamex_np", (os.fsencode(one), os.fsencode(other))
    else:
        return False
    function = getattr(ctypes.CDLL(None), name, None)
    return function is not None and function(*arguments, _EXCHANGE) == 0


def _replace_in_two_steps(path: Path, temporary: Path) -> None:
    former = _former_name(path)
    shutil.rmtree(former, ignore_errors=True)
    path.rename(former)
    try:
        temporary.rename(path)
    except OSError:
        former.rename(path)
        raise
    shutil.rmtree(former)


def _remove_abandoned(path: Path) -> None:
    """Remove the temporary folders of processes that were killed long ago."""
    name = rf"\.{re.escape(path.stem)}\.[0-9a-f]{{16}}{re.escape(path.suffix)}"
    pattern = re.compile(f"{name}|{re.escape(_former_name(path).name)}")
    for entry in path.parent.iterdir():
        with contextlib.suppress(OSError):  # gone meanwhile
            if pattern.fullmatch(entry.name) and time.time() - entry.stat().st_mtime > _ABANDONED:
                shutil.rmtree(entry)


def _former_name(path: Path) -> Path:
    return path.parent / f".{path.name}.former"


def _temporary_name(path: Path) -> Path:
    """An unused name beside the path."""
    return path.with_name(f".{path.stem}.{secrets.token_hex(8)}{path.suffix}")
