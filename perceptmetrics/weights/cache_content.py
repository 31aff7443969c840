"""What lies in the cache, how large and how old it is, and how it is removed."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.weights.cache import cache_home

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = [
    "CACHE_KINDS",
    "LIMIT_VARIABLE",
    "CacheKind",
    "cache_content",
    "clear_cache",
    "feature_limit",
    "trim_features",
]

LIMIT_VARIABLE = "PERCEPTMETRICS_CACHE_LIMIT"

FEATURES = "features"
CACHE_KINDS = {
    FEATURES: "features of images by frozen encoders, for finetune",
    "prompts": "features of prompts",
    "encoders": "encoders of converted PerceptCLIP files",
    "converted": "adapters and heads of converted PerceptCLIP files",
    "sha256": "hashes of files",
    "digests": "hashes of the tensors in files",
}

_DEFAULT_LIMIT = 20.0  # gigabytes
_GIGABYTE = 10**9
_DAY = 86_400


@dataclass(frozen=True, kw_only=True)
class CacheKind:
    """What the cache holds of one kind.

    Attributes:
        name: Name of the kind, which is that of its folder.
        files: Number of files.
        size: Size of all files in bytes.
        oldest: Days since the file was used that has not been used for longest; None without files.
        newest: Days since the file was used that was used last; None without files.
    """

    name: str
    files: int
    size: int
    oldest: float | None
    newest: float | None


def cache_content() -> list[CacheKind]:
    """What the cache holds, by kind."""
    found = []
    for name in CACHE_KINDS:
        states = [state for _, state in _files(name)]
        ages = [(time.time() - state.st_mtime) / _DAY for state in states]
        size = sum(state.st_size for state in states)
        found.append(
            CacheKind(
                name=name, files=len(states), size=size, oldest=max(ages, default=None), newest=min(ages, default=None)
            )
        )
    return found


def clear_cache(kinds: Iterable[str] = (), *, older_than: float | None = None) -> int:
    """Remove files from the cache; nothing but time is lost. Other files in its folder stay.

    Args:
        kinds: Names of kinds; none for all.
        older_than: Only files that have not been used for as many days; None for all.

    Returns:
        Size of the removed files in bytes.

    Raises:
        InvalidOptionError: A kind is unknown.
        OSError: A file cannot be removed.
    """
    kinds = list(kinds) or list(CACHE_KINDS)
    if unknown := [kind for kind in kinds if kind not in CACHE_KINDS]:
        raise InvalidOptionError(f"The cache has no kind {unknown[0]!r}. Kinds: {', '.join(CACHE_KINDS)}.")
    removed = 0
    for kind in kinds:
        for path, state in _files(kind):
            if older_than is None or time.time() - state.st_mtime > older_than * _DAY:
                path.unlink(missing_ok=True)
                removed += state.st_size
        _remove_empty_folders(cache_home() / kind)
    return removed


def feature_limit() -> int:
    """How many bytes the features of frozen encoders may have: `PERCEPTMETRICS_CACHE_LIMIT` gigabytes, or 20.

    Raises:
        InvalidOptionError: The variable is no such number.
    """
    stated = os.environ.get(LIMIT_VARIABLE) or _DEFAULT_LIMIT
    try:
        limit = float(stated)
    except ValueError:
        limit = -1
    if not 0 <= limit < float("inf"):
        raise InvalidOptionError(f"{LIMIT_VARIABLE} must be a number of gigabytes, got {stated!r}.")
    return int(limit * _GIGABYTE)


def trim_features() -> None:
    """Remove the features that have not been used for longest, until the others keep to the limit."""
    files = sorted(_files(FEATURES), key=lambda file: file[1].st_mtime)
    excess = sum(state.st_size for _, state in files) - feature_limit()
    for path, state in files:
        if excess <= 0:
            return
        with contextlib.suppress(OSError):  # in use, or of another user: the next run tries again
            path.unlink()
            excess -= state.st_size


def _files(kind: str) -> list[tuple[Path, os.stat_result]]:
    """The files of a kind with their states; those that another process removes meanwhile are left out."""
    found = []
    for path in (cache_home() / kind).rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink():
                found.append((path, path.stat()))
    return found


def _remove_empty_folders(folder: Path) -> None:
    for path in sorted([folder, *folder.rglob("*")], reverse=True):
        with contextlib.suppress(OSError):  # not empty, or no folder
            path.rmdir()
