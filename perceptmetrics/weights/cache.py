"""This package's cache: small records about files, and weights in the format that loads fastest.

The cache only saves time: what cannot be read from it or written to it is computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from perceptmetrics._util.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CACHE_VARIABLE", "cache_home", "read_record", "remember_of_file", "write_record"]

CACHE_VARIABLE = "PERCEPTMETRICS_CACHE"

T = TypeVar("T")


def cache_home() -> Path:
    """The cache's folder: `PERCEPTMETRICS_CACHE`, or `perceptmetrics` in the user's cache folder."""
    stated = os.environ.get(CACHE_VARIABLE)
    if stated:
        return Path(stated).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "perceptmetrics")


def read_record(path: Path) -> dict[str, object] | None:
    """Read a record; None if it is missing or corrupt."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def write_record(path: Path, document: dict[str, object]) -> None:
    """Write a record atomically. If it cannot be written, only time is lost."""
    try:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(document), encoding="utf-8")
    except OSError:
        return


def remember_of_file(kind: str, path: Path, compute: Callable[[], T], is_valid: Callable[[object], bool]) -> T:
    """Compute something about a file's content, or recall it if the file has not changed since.

    Copying tools preserve modification times, and all files of one architecture have the same size. So inode and change
    time are compared too.

    Args:
        kind: Kind of value, which is the name of a folder in the cache.
        path: The file.
        compute: Computes a value that JSON can hold.
        is_valid: Whether a recorded value is well-formed; otherwise it is computed again.

    Returns:
        The value.
    """
    stat = path.stat()
    resolved = str(path.resolve())
    record = cache_home() / kind / f"{hashlib.sha256(resolved.encode()).hexdigest()}.json"
    state: dict[str, object] = {
        "path": resolved,
        "size": stat.st_size,
        "inode": stat.st_ino,
        "modified_ns": stat.st_mtime_ns,
        "changed_ns": stat.st_ctime_ns,
    }
    known = read_record(record)
    if known is not None and {key: known.get(key) for key in state} == state and is_valid(known.get("value")):
        return cast("T", known["value"])
    value = compute()
    write_record(record, {**state, "value": value})
    return value
