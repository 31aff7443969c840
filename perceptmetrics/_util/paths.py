"""Paths as users write them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["expand_home"]


def expand_home(path: str | os.PathLike[str]) -> Path:
    """A path with `~` replaced by the user's home; as it is where there is no such home."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - that of pathlib is an error without a home
