"""Say what is full, and how to go on, where a disk has no room for a file."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from perceptmetrics.errors import FullDiskError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

__all__ = ["explain_full_disk"]

_NO_ROOM = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


@contextmanager
def explain_full_disk(path: str | os.PathLike[str], advice: str = "run the same command again") -> Iterator[None]:
    """Raise a `FullDiskError` in place of an error that says that there is no room.

    Args:
        path: What is written in the block. An error of a block within says it more exactly, and its path is kept.
        advice: What to do once there is room, as the end of a sentence.

    Raises:
        FullDiskError: The disk or the quota is full.
    """
    try:
        yield
    except FullDiskError as error:
        raise FullDiskError(error.path, error.errno, error.reason, advice) from error
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise FullDiskError(path, error.errno, error.strerror or str(error), advice) from error
