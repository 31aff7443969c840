"""Files at addresses such as `s3://bucket/photo.jpg`, through fsspec and whatever file systems are installed for it.

Credentials and settings are those of the file system: its environment variables and files, or fsspec's configuration
(https://filesystem-spec.readthedocs.io/en/latest/features.html#configuration). Each file system has errors of its own;
here they are `OSError`.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from perceptmetrics.errors import InvalidImageError, MissingExtraError, PerceptMetricsError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["find_at_address", "is_address", "is_address_pattern", "open_location", "read_address"]

_ADDRESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]+::)*[A-Za-z][A-Za-z0-9+.-]+://")
_BUFFER_BYTES = 1 << 20


def is_address(path: str) -> bool:
    """Whether a path is an address with a scheme, such as `s3://bucket/photo.jpg`."""
    return _ADDRESS.match(path) is not None


def is_address_pattern(address: str) -> bool:
    """Whether an address holds the wildcards `*`, `[` or, where it does not begin a query, `?`."""
    wildcards = r"[*\[]" if re.match("https?://", address, re.IGNORECASE) else r"[*?\[]"
    return re.search(wildcards, address) is not None


def read_address(address: str) -> bytes:
    """Read a file in one go.

    Args:
        address: Its address.

    Raises:
        InvalidImageError: It cannot be read.
        MissingExtraError: The package of its file system is not installed.
    """
    try:
        with _as_os_error(address):
            system, path = _connect(address)
            content: bytes = system.cat_file(path)
    except FileNotFoundError as error:
        raise InvalidImageError(f"{address} cannot be read: it does not exist.") from error
    except OSError as error:
        raise InvalidImageError(f"{address} cannot be read: {first_line(error)}.") from error
    return content


def open_location(location: str) -> IO[bytes]:
    """Open a file for reading, piece by piece.

    Args:
        location: Its path or address.

    Raises:
        OSError: It cannot be opened.
        MissingExtraError: The package of its file system is not installed.
    """
    if not is_address(location):
        return Path(location).open("rb")
    with _as_os_error(location):
        system, path = _connect(location)
        return io.BufferedReader(_RemoteFile(system.open(path, "rb"), location), _BUFFER_BYTES)


def find_at_address(address: str, choices: Sequence[Sequence[str]], *, recursive: bool) -> Iterator[str]:
    """Find files at an address.

    Args:
        address: A file; a folder; or a pattern with `*`, `?`, `[...]`, and `**` for any depth. An address in several
            parts, such as `zip://photo.jpg::s3://bucket/photos.zip`, is a file.
        choices: Suffixes in lower case of the files that are looked for in a folder: the first choice of which there
            is a file.
        recursive: Whether folders are searched to any depth.

    Yields:
        Addresses in alphabetical order; hidden files, whose name begins with `.` or `_`, are left out.

    Raises:
        InvalidImageError: Nothing is found, or the address cannot be listed.
        MissingExtraError: The package of its file system is not installed.
    """
    if "::" in address:
        yield address
        return
    try:
        with _as_os_error(address):
            found = _find(address, choices, recursive=recursive)
    except FileNotFoundError:
        found = []
    except OSError as error:
        raise InvalidImageError(f"{address} cannot be listed: {first_line(error)}.") from error
    if not found:
        raise InvalidImageError(f"There is nothing to score at {address!r}.")
    yield from found


def _find(address: str, choices: Sequence[Sequence[str]], *, recursive: bool) -> list[str]:
    system, path = _connect(address)
    if is_address_pattern(address) and not system.exists(path):
        matches = system.glob(path, detail=True)
        folder = re.split(r"[*?\[]", address)[0].rpartition("/")[0]
        return _visible(folder, [name for name, info in matches.items() if info["type"] == "file"])
    if not address.endswith("/") and system.isfile(path):
        return [address]
    files = _visible(address, system.find(path, maxdepth=None if recursive else 1))
    by_choice = ([file for file in files if file.lower().endswith(tuple(suffixes))] for suffixes in choices)
    return next(filter(None, by_choice), [])


def _visible(folder: str, paths: Iterable[str]) -> list[str]:
    """Addresses of the files of a folder that are not hidden; they begin as the folder was given."""
    system, root = _connect(folder)
    root = root.rstrip("/")
    return [
        folder.rstrip("/") + path[len(root) :] if path.startswith(root) else system.unstrip_protocol(path)
        for path in sorted(paths)
        if PurePosixPath(path).name[0] not in "._"
    ]


def _connect(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    from fsspec.core import url_to_fs  # late: importing it takes longer than importing this package

    system, path = url_to_fs(address)
    return system, path


@contextlib.contextmanager
def _as_os_error(address: str) -> Iterator[None]:
    """Turn whatever a file system raises into an `OSError`, but for a package that is missing."""
    try:
        yield
    except (OSError, MemoryError, PerceptMetricsError):
        raise
    except ImportError as error:  # fsspec's own message says what to install
        raise MissingExtraError(f"Reading {address}", advice=f"{first_line(error)}.") from error
    except Exception as error:
        raise OSError(first_line(error)) from error


class _RemoteFile(io.RawIOBase):
    """A file of any file system, all of whose errors are `OSError`."""

    def __init__(self, file: Any, address: str) -> None:
        self._file = file
        self._address = address

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def readinto(self, buffer: Any) -> int:
        with _as_os_error(self._address):
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _as_os_error(self._address):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
