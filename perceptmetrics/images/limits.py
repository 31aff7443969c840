"""How many bytes an encoded image may have.

Sizes are compared before memory is taken for them: an archive of a few kilobytes may claim to hold gigabytes.
"""

from __future__ import annotations

from typing import IO

from perceptmetrics.errors import InvalidImageError

__all__ = ["MAX_FILE_BYTES", "MAX_HELD_BYTES", "MAX_TABLE_BYTES", "check_size", "read_limited"]

MAX_HELD_BYTES = 256 << 20
"""Limit for images that are held in memory whole: in archives, in tables and at addresses."""
MAX_FILE_BYTES = 2 << 30
"""Limit for files on a disk, which are decoded piece by piece; 179 megapixels in 16 bits with alpha take 1.4 GB."""
MAX_TABLE_BYTES = 1 << 30
"""Limit for CSV tables, which are read whole."""

_PIECE = 1 << 20


def check_size(size: int, name: str, limit: int | None = None) -> None:
    """Check the size of an encoded image.

    Args:
        size: Number of bytes.
        name: What to call the image.
        limit: Largest number of bytes allowed; None for `MAX_HELD_BYTES`.

    Raises:
        InvalidImageError: It is larger.
    """
    held = limit is None
    limit = MAX_HELD_BYTES if limit is None else limit
    if size > limit:
        advice = " If you trust it, save it as a file of its own and score that." if held else ""
        raise InvalidImageError(f"{name} has {size:,} bytes; at most {limit:,} are read here.{advice}")


def read_limited(stream: IO[bytes], name: str, limit: int | None = None) -> bytes:
    """Read a file whose size is not known in advance.

    Args:
        stream: The file, from where the stream stands to its end.
        name: What to call it.
        limit: See `check_size`.

    Raises:
        InvalidImageError: It is larger.
        OSError: It cannot be read.
    """
    pieces, size = [], 0
    while piece := stream.read(_PIECE):
        pieces.append(piece)
        size += len(piece)
        check_size(size, name, limit)
    return b"".join(pieces)
