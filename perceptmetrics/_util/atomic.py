"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["replacing", "replacing_folder", "write_whole"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name beside it; it takes the file's place when the block ends without error.

    Args:
        path: The file; its folder is made when it is missing.

    Yields:
        The temporary file's name; nothing lies there yet.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; when this returns it is on the disk."""
    with replacing(path) as temporary, temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name beside it; it takes the folder's name when the block ends without error.

    Args:
        path: The folder; what it held before is removed then.

    Yields:
        The temporary folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    temporary.mkdir()
    try:
        yield temporary
        if not path.exists():
            temporary.rename(path)
            return
        former = _temporary_name(path)
        path.rename(former)
        temporary.rename(path)
        shutil.rmtree(former)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary_name(path: Path) -> Path:
    """A name beside the path that nobody else uses."""
    return path.with_name(f".{path.stem}.{secrets.token_hex(8)}{path.suffix}")
