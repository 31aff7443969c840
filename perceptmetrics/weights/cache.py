"""This package's cache: small records about files, and weights in the format that loads fastest.

The cache only saves time: what cannot be read from it or written to it is computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from perceptmetrics._util.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CACHE_VARIABLE",
    "cache_home",
    "parse_record",
    "read_record",
    "remember",
    "remember_of_file",
    "user_folder",
    "write_record",
]

CACHE_VARIABLE = "PERCEPTMETRICS_CACHE"

_NOWHERE = Path(os.devnull, "perceptmetrics")  # nothing is found there, and nothing can be written
_CHECK = "check"

T = TypeVar("T")


def cache_home() -> Path:
    """The cache's folder: `PERCEPTMETRICS_CACHE`, or `perceptmetrics` in the user's cache folder."""
    return user_folder(CACHE_VARIABLE, "XDG_CACHE_HOME", ".cache")


def user_folder(variable: str, xdg_variable: str, default: str) -> Path:
    """A folder of this package for the current user.

    Args:
        variable: Environment variable that names the folder itself.
        xdg_variable: Environment variable that names the folder above it.
        default: The folder above it, in the user's home.

    Returns:
        The folder, which may be missing. For a user without a home it cannot be made, which is no error.
    """
    stated = os.environ.get(variable)
    try:
        if stated:
            return Path(stated).expanduser()
        return Path(os.environ.get(xdg_variable) or Path.home() / default, "perceptmetrics")
    except RuntimeError:  # no home
        return _NOWHERE


def read_record(path: Path) -> dict[str, object] | None:
    """Read a record; None if it is missing or corrupt."""
    try:
        return parse_record(path.read_bytes())
    except OSError:
        return None


def parse_record(content: bytes) -> dict[str, object] | None:
    """The document in the file of a record; None if it is not what was written."""
    try:
        document = json.loads(content)
    except ValueError:
        return None
    if not isinstance(document, dict) or document.pop(_CHECK, None) != _checksum(document):
        return None
    return document


def write_record(path: Path, document: dict[str, object]) -> None:
    """Write a record with its checksum, atomically.

    Raises:
        OSError: It cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({**document, _CHECK: _checksum(document)}), encoding="utf-8")


def remember(path: Path, document: dict[str, object]) -> None:
    """Write a record. If it cannot be written, only time is lost."""
    with contextlib.suppress(OSError):
        write_record(path, document)


def _checksum(document: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


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
    remember(record, {**state, "value": value})
    return value
