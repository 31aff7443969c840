"""WebDataset tar files: images are the members with an image suffix, read in one pass from front to back.

The format is a plain tar (https://github.com/webdataset/webdataset), which the standard library reads. It takes a
corrupt header in the middle for the end of the archive, and believes the sizes that headers state; here the one is an
error, and the other is checked before memory is taken.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import tarfile
import zlib
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, cast

from perceptmetrics._util.files import NotAFileError
from perceptmetrics.errors import InvalidImageError, first_line
from perceptmetrics.images.addresses import is_address, open_location
from perceptmetrics.images.limits import check_size
from perceptmetrics.images.selection import LeftOut, image_suffixes, is_left_out
from perceptmetrics.images.sources.named import NamedImage, ReadOptions

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

__all__ = ["TAR_SUFFIXES", "read_tar"]

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_CORRUPTION = (tarfile.TarError, OSError, EOFError, MemoryError, zlib.error, lzma.LZMAError)
_COMPRESSED = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
_HEADER_BYTES = 1 << 20
"""Most that the headers of one member may take: names and attributes take a few kilobytes."""
_LAST_POSITION = 1 << 62
_PIECE = 1 << 20


def read_tar(location: str, options: ReadOptions, known: Container[str]) -> Iterator[NamedImage]:
    """Read the images of a tar file, compressed or not.

    Args:
        location: Path or address.
        options: Not used.
        known: Names of images not to be read.

    Yields:
        Images, named `location/member`. The source of an image that is too large is the error. If the archive is
        truncated or corrupt, the last one bears the archive's name and the error, after all images before that point.
    """
    del options
    count, left_out = 0, LeftOut(location)
    try:
        with open_location(location) as stream, _open_archive(stream, location) as (archive, content):
            suffixes = image_suffixes()
            while (member := content.next_of(archive)) is not None:
                archive.members = []  # type: ignore[attr-defined] # or else it would keep every header
                if not member.isreg() or is_left_out(PurePosixPath(member.name).parts):
                    continue
                if PurePosixPath(member.name).suffix.lower() not in suffixes:
                    left_out.add(member.name)
                    continue
                name = f"{location}/{member.name}"
                image = NamedImage(name, None if name in known else content.read_member(member, name), location)
                count += 1
                yield image
        left_out.report()
        reason = "" if count else f"{location} holds no image that can be read ({', '.join(sorted(suffixes))})."
    except (FileNotFoundError, NotAFileError) as error:
        reason = f"{location} does not exist." if is_address(location) else f"{first_line(error)}."
    except InvalidImageError as error:
        reason = str(error)
    except _CORRUPTION as error:
        why = "it needs more memory than there is" if isinstance(error, MemoryError) else first_line(error)
        reason = f"{location} is truncated or corrupt after {count} images: {why.rstrip(':. ')}."
    if reason:
        yield NamedImage(location, InvalidImageError(reason), location)


@contextlib.contextmanager
def _open_archive(stream: IO[bytes], location: str) -> Iterator[tuple[tarfile.TarFile, _Content]]:
    begin = cast("Any", stream).peek(8)
    unpack: Any = next((kind for mark, kind in _COMPRESSED if begin.startswith(mark)), None)
    with contextlib.ExitStack() as stack:
        unpacked: Any = stream if unpack is None else stack.enter_context(unpack(stream))
        content = _Content(unpacked, jumps=unpack is None and not is_address(location))
        yield stack.enter_context(tarfile.open(fileobj=content, mode="r:", tarinfo=_CheckedHeader)), content  # type: ignore[call-overload]


class _Content:
    """The unpacked archive, read forward only, with a limit on what is read at once.

    Args:
        stream: The content.
        jumps: Whether the stream can skip what is not read.
    """

    def __init__(self, stream: IO[bytes], *, jumps: bool) -> None:
        self._stream, self._jumps = stream, jumps
        self._position = 0
        self._allowance = _HEADER_BYTES

    def next_of(self, archive: tarfile.TarFile) -> tarfile.TarInfo | None:
        """The next header, which may not be larger than a header is."""
        self._allowance = _HEADER_BYTES
        return archive.next()

    def read_member(self, member: tarfile.TarInfo, name: str) -> bytes | InvalidImageError:
        """The content of a member, or why it is not read."""
        if member.issparse():
            return InvalidImageError(f"{name} is a sparse file, which claims more than it holds; no image is one.")
        if member.size < 0:
            raise tarfile.ReadError("a header states a negative size")
        try:
            check_size(member.size, name)
        except InvalidImageError as error:
            return error
        self.seek(member.offset_data)
        pieces, self._allowance = [], member.size
        while self._allowance > 0:
            pieces.append(self.read(min(self._allowance, _PIECE)))
            if not pieces[-1]:
                raise tarfile.ReadError("unexpected end of data")
        return b"".join(pieces)

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self._allowance:
            raise tarfile.ReadError(f"a header takes more than {_HEADER_BYTES:,} bytes")
        content = self._stream.read(size)
        self._allowance -= len(content)
        self._position += len(content)
        return content

    def seek(self, position: int) -> None:
        if not self._position <= position < _LAST_POSITION:
            raise tarfile.ReadError("a header states an impossible size")
        if self._jumps:
            self._stream.seek(position)
        while not self._jumps and self._position < position:
            skipped = self._stream.read(min(position - self._position, _PIECE))
            if not skipped:
                raise tarfile.ReadError("unexpected end of data")
            self._position += len(skipped)
        self._position = position

    def tell(self) -> int:
        return self._position


class _CheckedHeader(tarfile.TarInfo):
    """Reads a header, or finds the proper end of the archive, or raises an error."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _CheckedHeader:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":  # two empty blocks, as the format demands
                raise
            raise tarfile.ReadError(first_line(error)) from error
        except (ValueError, LookupError, RecursionError) as error:  # of the standard library's parser
            raise tarfile.ReadError(f"a header is invalid: {first_line(error)}") from error
