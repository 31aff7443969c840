"""Files at addresses such as `s3://bucket/photo.jpg`, through fsspec and whatever file systems are installed for it.

Credentials and settings are those of the file system: its environment variables and files, or fsspec's configuration
(https://filesystem-spec.readthedocs.io/en/latest/features.html#configuration). Each file system has errors of its own;
here they are `OSError`.
"""

from __future__ import annotations

import contextlib
import io
import re
import threading
from pathlib import PurePosixPath
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, Any, TypeVar

from perceptmetrics._util.files import open_regular
from perceptmetrics.errors import InvalidImageError, MissingExtraError, PerceptMetricsError, first_line
from perceptmetrics.images.limits import read_limited
from perceptmetrics.images.selection import LeftOut, image_suffixes, is_left_out, is_selected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["find_at_address", "is_address", "is_address_pattern", "open_location", "read_address"]

_ADDRESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]+::)*[A-Za-z][A-Za-z0-9+.-]+://")
_BUFFER_BYTES = 1 << 20

ANSWER_SECONDS = 20.0
"""How long a file system may take to connect, and to say what is at an address."""
_PIECE_SECONDS = 60.0
_LISTING_SECONDS = 600.0

T = TypeVar("T")


def is_address(path: str) -> bool:
    """Whether a path is an address with a scheme, such as `s3://bucket/photo.jpg`."""
    return _ADDRESS.match(path) is not None


def is_address_pattern(address: str) -> bool:
    """Whether an address holds the wildcards `*`, `[` or, where it does not begin a query, `?`."""
    wildcards = r"[*\[]" if re.match("https?://", address, re.IGNORECASE) else r"[*?\[]"
    return re.search(wildcards, address) is not None


def read_address(address: str) -> bytes:
    """Read an image in one go.

    Args:
        address: Its address.

    Raises:
        InvalidImageError: It cannot be read, or is larger than `limits.MAX_HELD_BYTES`.
        MissingExtraError: The package of its file system is not installed.
    """
    try:
        with open_location(address) as stream:
            return read_limited(stream, address)
    except FileNotFoundError as error:
        raise InvalidImageError(f"{address} cannot be read: it does not exist.") from error
    except OSError as error:
        raise InvalidImageError(f"{address} cannot be read: {first_line(error)}.") from error


def open_location(location: str) -> IO[bytes]:
    """Open a file for reading, piece by piece.

    Args:
        location: Its path or address.

    Raises:
        OSError: It cannot be opened, is not a file, or its file system does not answer in time.
        MissingExtraError: The package of its file system is not installed.
    """
    if not is_address(location):
        return open_regular(location)
    from fsspec.implementations.local import LocalFileSystem
    from fsspec.implementations.memory import MemoryFile

    with _as_os_error(location):
        system, path = _connect(location)
        if isinstance(system, LocalFileSystem):
            return open_regular(path)
        file = _in_time(lambda: system.open(path, "rb"), ANSWER_SECONDS)
        if isinstance(file, MemoryFile):  # the same object for all who open it
            return io.BufferedReader(io.BytesIO(file.getvalue()))
        return io.BufferedReader(_RemoteFile(file, location, system), _BUFFER_BYTES)


def find_at_address(address: str, fallback: tuple[str, ...], *, recursive: bool) -> Iterator[str]:
    """Find the image files at an address.

    Args:
        address: A file; a folder; or a pattern with `*`, `?`, `[...]`, and `**` for any depth. An address in several
            parts, such as `zip://photo.jpg::s3://bucket/photos.zip`, is a file.
        fallback: Suffixes in lower case of files that are looked for in a folder without images.
        recursive: Whether folders are searched to any depth.

    Yields:
        Addresses in alphabetical order; the same files are left out as by `find.find_images`.

    Raises:
        InvalidImageError: Nothing is found, or the address cannot be listed.
        MissingExtraError: The package of its file system is not installed.
    """
    if "::" in address:
        yield address
        return
    left_out = LeftOut(address)
    try:
        with _as_os_error(address):
            found = _find(address, fallback, left_out, recursive=recursive)
    except FileNotFoundError:
        found = []
    except OSError as error:
        raise InvalidImageError(f"{address} cannot be listed: {first_line(error)}.") from error
    if not found:
        raise InvalidImageError(f"There is nothing to score at {address!r}.{f' {left_out}' if left_out else ''}")
    left_out.report()
    yield from found


def _find(address: str, fallback: tuple[str, ...], left_out: LeftOut, *, recursive: bool) -> list[str]:
    system, path = _connect(address)
    if is_address_pattern(address) and not _in_time(lambda: system.exists(path), ANSWER_SECONDS):
        matches = _in_time(lambda: system.glob(path, detail=True), _LISTING_SECONDS)
        folder = re.split(r"[*?\[]", address)[0].rpartition("/")[0]
        named = (name for name, info in sorted(matches.items()) if info["type"] == "file")
        return [_address_of(file, folder) for file in named if is_selected(file, path)]
    if _in_time(lambda: system.isfile(path), ANSWER_SECONDS) and not address.endswith("/"):
        return [address]
    listed = sorted(_in_time(lambda: system.find(path, maxdepth=None if recursive else 1), _LISTING_SECONDS))
    files = [file for file in listed if not is_left_out(PurePosixPath(_below(file, path)).parts)]
    suffixes = tuple(image_suffixes())
    for file in files:
        left_out.add(_below(file, path))
    images = [file for file in files if file.lower().endswith(suffixes)]
    found = images or [file for file in files if fallback and file.lower().endswith(fallback)]
    return [_address_of(file, address) for file in found]


def _address_of(path: str, folder: str) -> str:
    """The address of a file in a file system; it begins as the folder's address was given."""
    system, root = _connect(folder)
    if path.startswith(root.rstrip("/")):
        return f"{folder.rstrip('/')}/{_below(path, root)}"
    return str(system.unstrip_protocol(path))


def _below(path: str, root: str) -> str:
    return path.removeprefix(root.rstrip("/")).lstrip("/")


def _connect(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    from fsspec.core import url_to_fs  # late: importing it takes longer than importing this package

    system, path = _in_time(lambda: url_to_fs(address), ANSWER_SECONDS)
    return system, path


def _in_time(call: Callable[[], T], seconds: float) -> T:
    """The result of a call, or a `TimeoutError`; the call itself goes on in its thread, since nothing can end it."""
    outcomes: SimpleQueue[tuple[bool, Any]] = SimpleQueue()

    def run() -> None:
        try:
            outcomes.put((True, call()))
        except BaseException as error:  # noqa: BLE001 - raised again below
            outcomes.put((False, error))

    threading.Thread(target=run, daemon=True, name="perceptmetrics-address").start()
    try:
        succeeded, outcome = outcomes.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer within {seconds:g} seconds; check the network and the credentials") from None
    if not succeeded:
        raise outcome
    result: T = outcome
    return result


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

    def __init__(self, file: Any, address: str, system: Any) -> None:
        self._file = file
        self._address = address
        self._system = system  # that of an archive closes it when nothing refers to it any more

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def readinto(self, buffer: Any) -> int:
        with _as_os_error(self._address):
            content = _in_time(lambda: self._file.read(len(buffer)), _PIECE_SECONDS)
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
