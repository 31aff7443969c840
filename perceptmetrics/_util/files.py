"""Paths as users write them, and regular files only: reading a pipe, a device or a socket may wait or never end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import BufferedReader

__all__ = ["NotAFileError", "check_regular", "expand_home", "open_regular"]

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe (FIFO), not a file"),
    (stat.S_ISSOCK, "a socket, not a file"),
    (stat.S_ISCHR, "a device, not a file"),
    (stat.S_ISBLK, "a device, not a file"),
)


class NotAFileError(OSError):
    """A path leads to something that is not a regular file; the message names the path and what it is."""


def expand_home(path: str | os.PathLike[str]) -> Path:
    """A path with `~` replaced by the user's home; as it is where there is no such home."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - that of pathlib is an error without a home


def check_regular(path: str | os.PathLike[str]) -> None:
    """Check that a path leads to a regular file, without opening it.

    Args:
        path: The path; links are followed.

    Raises:
        FileNotFoundError: Nothing is there, or it is a link to nothing.
        NotAFileError: It is a folder, a pipe, a device, a socket, or links that lead in a circle.
        OSError: The system refuses to say.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a NUL in the path must raise
    except FileNotFoundError as error:
        dangling = os.path.islink(path)  # noqa: PTH114
        what = f"is a link to {os.readlink(path)!r}, which does not exist" if dangling else "does not exist"  # noqa: PTH115
        raise FileNotFoundError(f"{os.fspath(path)} {what}") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotAFileError(f"{os.fspath(path)} is a link that leads back to itself") from error
        raise
    _check_mode(mode, path)


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file for reading, without waiting.

    Args:
        path: The path; links are followed.

    Raises:
        OSError: See `check_regular`; or it cannot be opened.
    """
    check_regular(path)
    # What was a file a moment ago may be a pipe now: opening must not wait, and what was opened is looked at again.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check_mode(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_mode(mode: int, path: str | os.PathLike[str]) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for matches, name in _KINDS if matches(mode)), "not a file")
        raise NotAFileError(f"{os.fspath(path)} is {kind}")
