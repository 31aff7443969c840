"""WebDataset tar files: images by their extension, read from the first to the last without going back.

The format is a plain tar (https://github.com/webdataset/webdataset), so the standard library reads it. That takes a
damaged header in the middle for the end of the archive; here it is an error.
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
_DAMAGE = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError)


def read_tar(location: str, options: ReadOptions, known: Container[str]) -> Iterator[NamedImage]:
    """Read the images of a tar file, which may be compressed.

    Args:
        location: Path or address.
        options: Not needed here.
        known: Names of images that are not to be read.

    Yields:
        Images, named `location/member`. Where the archive is damaged or ends too early, an image of the archive's name
        says so, after all that came before it.
    """
    del options
    count = 0
    try:
        with open_location(location) as stream, _open_archive(stream, location) as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined] # it would keep every header
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
    except _DAMAGE as error:
        reason = f"{location} is truncated or damaged after {count} images: {first_line(error).rstrip(':. ')}."
    if reason:
        yield NamedImage(location, InvalidImageError(reason), location)


def _open_archive(stream: IO[bytes], location: str) -> tarfile.TarFile:
    if is_address(location):  # no going back over a network
        return tarfile.open(fileobj=stream, mode="r|*", tarinfo=_CheckedHeader)
    return tarfile.open(fileobj=stream, mode="r:*", tarinfo=_CheckedHeader)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return stream.read() if stream is not None else b""


class _CheckedHeader(tarfile.TarInfo):
    """A header, or the proper end of the archive, or an error."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _CheckedHeader:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":  # two empty blocks, as the format has it
                raise
            raise tarfile.ReadError(first_line(error)) from error
