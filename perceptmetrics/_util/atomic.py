"""Write files and folders atomically: they appear complete or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from perceptmetrics._util.full_disk import explain_full_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["replacing", "replacing_folder", "write_whole"]


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
            temporary.mkdir()
            yield temporary
        if not path.exists():
            temporary.rename(path)
            return
        former = _temporary_name(path)
        path.rename(former)
        try:
            temporary.rename(path)
        except OSError:
            former.rename(path)
            raise
        shutil.rmtree(former)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary_name(path: Path) -> Path:
    """An unused name beside the path."""
    return path.with_name(f".{path.stem}.{secrets.token_hex(8)}{path.suffix}")
