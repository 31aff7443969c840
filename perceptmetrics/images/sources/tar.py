"""WebDataset tar files: images are the members with an image suffix, read in one pass from front to back.

The format is a plain tar (https://github.com/webdataset/webdataset), which the standard library reads. It takes a
corrupt header in the middle for the end of the archive; here that is an error.
"""

from __future__ import annotations

import lzma
import tarfile
import zlib
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from perceptmetrics.errors import InvalidImageError, first_line
from perceptmetrics.images.addresses import is_address, open_location
from perceptmetrics.images.find import IMAGE_SUFFIXES
from perceptmetrics.images.sources.named import NamedImage, ReadOptions

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

__all__ = ["TAR_SUFFIXES", "read_tar"]

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_CORRUPTION = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError)


def read_tar(location: str, options: ReadOptions, known: Container[str]) -> Iterator[NamedImage]:
    """Read the images of a tar file, compressed or not.

    Args:
        location: Path or address.
        options: Not used.
        known: Names of images not to be read.

    Yields:
        Images, named `location/member`. If the archive is truncated or corrupt, the last one bears the archive's name
        and the error, after all images before that point.
    """
    del options
    count = 0
    try:
        with open_location(location) as stream, _open_archive(stream, location) as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined] # or else it would keep every header
                if not member.isreg() or PurePosixPath(member.name).suffix.lower() not in IMAGE_SUFFIXES:
                    continue
                name = f"{location}/{member.name}"
                image = NamedImage(name, None if name in known else _content(archive, member), location)
                count += 1
                yield image
        reason = "" if count else f"{location} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})."
    except FileNotFoundError:
        reason = f"{location} does not exist."
    except InvalidImageError as error:
        reason = str(error)
    except _CORRUPTION as error:
        reason = f"{location} is truncated or corrupt after {count} images: {first_line(error).rstrip(':. ')}."
    if reason:
        yield NamedImage(location, InvalidImageError(reason), location)


def _open_archive(stream: IO[bytes], location: str) -> tarfile.TarFile:
    if is_address(location):  # a stream from a network cannot go back
        return tarfile.open(fileobj=stream, mode="r|*", tarinfo=_CheckedHeader)
    return tarfile.open(fileobj=stream, mode="r:*", tarinfo=_CheckedHeader)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return stream.read() if stream is not None else b""


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
