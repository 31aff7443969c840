"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["replacement", "write_bytes"]


@contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """Name a file beside `path` to write to; it takes the place of `path` when the block ends without an error.

    Yields:
        Path of the temporary file, in the same folder. It is removed when the block fails.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, and the folders that lead to it, whole or not at all.

    Args:
        path: The file; what lies there is replaced.
        content: All of its bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacement(path) as temporary, temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
