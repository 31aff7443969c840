"""Files on this machine and, by an address such as `s3://bucket/photos`, wherever pyarrow has a file system for."""

from __future__ import annotations

import fnmatch
import glob
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

from perceptmetrics.errors import InvalidImageError, MissingExtraError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["RemoteFile", "find_remote", "is_address", "open_location"]

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+://[^/]*)(.*)", re.DOTALL)


def is_address(path: str) -> bool:
    """Whether a path is an address with a scheme, such as `s3://bucket/photo.jpg`."""
    return _ADDRESS.match(path) is not None


def open_location(location: str) -> IO[bytes]:
    """Open a file for reading.

    Args:
        location: A path, or an address with a scheme.

    Raises:
        OSError: It cannot be opened.
        InvalidImageError: There is no file system for the address.
        MissingExtraError: It is an address, and pyarrow is not installed.
    """
    if not is_address(location):
        return Path(location).open("rb")
    remote = _Remote.at(location)
    return cast("IO[bytes]", remote.system.open_input_file(remote.path))


@dataclass(frozen=True)
class RemoteFile:
    """A file at an address, read when it is decoded."""

    address: str

    def read(self) -> bytes:
        """The content.

        Raises:
            InvalidImageError: It cannot be read.
        """
        try:
            with open_location(self.address) as stream:
                return stream.read()
        except OSError as error:
            raise InvalidImageError(f"{self.address} cannot be read: {first_line(error)}.") from error


def find_remote(address: str, choices: Sequence[Sequence[str]], *, recursive: bool) -> Iterator[str]:
    """Find files at an address.

    Args:
        address: A file, a folder, or a pattern with `*`, `?`, `[...]`, where `*` also matches `/`.
        choices: Suffixes in lower case of the files that are looked for in a folder: the first choice of which there
            is a file.
        recursive: Whether folders are searched to any depth.

    Yields:
        Addresses in alphabetical order.

    Raises:
        InvalidImageError: Nothing is found, or the address cannot be listed.
    """
    if glob.has_magic(address):
        fixed = re.split(r"[*?\[]", address)[0].rpartition("/")[0]
        found = [file for file in _files_at(fixed, recursive=True) if fnmatch.fnmatchcase(file, address)]
    else:
        files = _files_at(address.rstrip("/"), recursive=recursive)
        by_choice = ([file for file in files if file.lower().endswith(tuple(suffixes))] for suffixes in choices)
        found = files if files == [address] else next(filter(None, by_choice), [])
    if not found:
        raise InvalidImageError(f"There is nothing to score at {address!r}.")
    yield from found


def _files_at(address: str, *, recursive: bool) -> list[str]:
    """The files of a folder, or the one file; hidden ones are left out."""
    remote = _Remote.at(address)
    from pyarrow.fs import FileSelector, FileType

    try:
        if remote.system.get_file_info(remote.path).type == FileType.File:
            return [address]
        entries = remote.system.get_file_info(FileSelector(remote.path, recursive=recursive))
    except OSError as error:
        raise InvalidImageError(f"{address} cannot be listed: {first_line(error)}.") from error
    paths = [entry.path for entry in entries if entry.type == FileType.File]
    inside = sorted(path[len(remote.path.rstrip("/")) :] for path in paths)
    return [address.rstrip("/") + path for path in inside if PurePosixPath(path).name[0] not in "._"]


class _Remote(NamedTuple):
    """A file system of pyarrow and a path in it."""

    system: Any
    path: str

    @classmethod
    def at(cls, address: str) -> _Remote:
        try:
            import pyarrow as pa
            from pyarrow.fs import FileSystem
        except ImportError as error:
            raise MissingExtraError(f"Reading {address}", "parquet") from error
        matched = _ADDRESS.match(address)
        base, rest = matched.groups() if matched else (address, "")
        try:
            system, root = FileSystem.from_uri(base + "/")
        except (pa.ArrowException, OSError) as error:
            raise InvalidImageError(f"{address} cannot be opened: {first_line(error)}.") from error
        return cls(system, root.rstrip("/") + rest)
