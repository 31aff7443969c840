"""From the paths that a user gives to parts of the work, and from a part to a stream of images."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.images.addresses import find_at_address, is_address
from perceptmetrics.images.find import find_images, listed
from perceptmetrics.images.sources.csv_table import CSV_SUFFIXES, read_csv
from perceptmetrics.images.sources.named import NamedImage, ReadOptions
from perceptmetrics.images.sources.parquet import PARQUET_SUFFIXES, read_parquet
from perceptmetrics.images.sources.tar import TAR_SUFFIXES, read_tar

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

__all__ = ["Part", "find_parts", "find_sources", "is_container", "read_part"]

DEFAULT_PART_SIZE = 1024
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")

_READERS: dict[str, Callable[[str, ReadOptions, Container[str]], Iterator[NamedImage]]] = {
    **dict.fromkeys(TAR_SUFFIXES, read_tar),
    **dict.fromkeys(PARQUET_SUFFIXES, read_parquet),
    **dict.fromkeys(CSV_SUFFIXES, read_csv),
}
"""Readers of files that hold many images, by suffix."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the work that any process can read by itself: some files, or one file that holds many images.

    Attributes:
        files: Paths and addresses of image files.
        container: Path or address of a file that holds many images; `files` is empty then.
    """

    files: tuple[str, ...] = ()
    container: str | None = None


def is_container(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds many images, judged by its suffix."""
    return os.fspath(path).lower().endswith(tuple(_READERS))


def find_parts(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    recursive: bool = True,
    part_size: int = DEFAULT_PART_SIZE,
) -> Iterator[Part]:
    """Divide what paths stand for into parts of the work.

    Args:
        paths: What `find_images` takes, and: tar and Parquet files, CSV tables of paths; numbered ones such as
            `shard-{0000..0099}.tar`; folders that hold tar or Parquet files and no images; addresses of files, folders
            and patterns, such as `s3://bucket/photos`.
        recursive: Whether to search folders to any depth.
        part_size: Largest number of image files in a part.

    Yields:
        Parts. Together they hold everything once, in the order of the paths.

    Raises:
        InvalidImageError: A folder or an address holds no images, or a pattern matches no file.
        InvalidOptionError: `part_size` is less than 1.
    """
    if part_size < 1:
        raise InvalidOptionError(f"part_size must be at least 1, got {part_size}.")
    files: list[str] = []
    for file in _files(listed(paths), recursive=recursive):
        if files and (len(files) == part_size or is_container(file)):
            yield Part(files=tuple(files))
            files = []
        if is_container(file):
            yield Part(container=file)
        else:
            files.append(file)
    if files:
        yield Part(files=tuple(files))


def read_part(part: Part, options: ReadOptions | None = None, known: Container[str] = ()) -> Iterator[NamedImage]:
    """Read the images of a part.

    Args:
        part: See `find_parts`.
        options: How to read files that hold many images.
        known: Names of images not to be read; they are yielded without a source.

    Yields:
        Images, those of a container in its own order. The source of an image that cannot be read is the error.
    """
    if part.container is not None:
        suffix = max((suffix for suffix in _READERS if part.container.lower().endswith(suffix)), key=len)
        yield from _READERS[suffix](part.container, options or ReadOptions(), known)
    for file in part.files:
        yield NamedImage(file, None if file in known else file)


def find_sources(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    recursive: bool = True,
    options: ReadOptions | None = None,
    known: Container[str] = (),
) -> Iterator[NamedImage]:
    """Turn paths into a stream of images, in bounded memory.

    Args:
        paths: See `find_parts`.
        recursive: See `find_parts`.
        options: See `read_part`.
        known: See `read_part`.

    Yields:
        Images, for `scoring.score_images` or `Metric.score`.

    Raises:
        InvalidImageError: See `find_parts`.
    """
    for part in find_parts(paths, recursive=recursive):
        yield from read_part(part, options, known)


def _files(paths: Iterable[str | os.PathLike[str]], *, recursive: bool) -> Iterator[str]:
    containers = tuple(suffix for suffix in _READERS if suffix not in CSV_SUFFIXES)  # a CSV in a folder may be anything
    for path in paths:
        for name in _numbered(os.fspath(path)):
            if name.lower().endswith(CSV_SUFFIXES):
                yield name
            elif is_address(name):
                yield from find_at_address(name, containers, recursive=recursive)
            else:
                yield from map(str, find_images([name], recursive=recursive, fallback=containers))


def _numbered(path: str) -> Iterator[str]:
    """Expand ranges: `a-{08..11}.tar` is four paths, unless a file has that very name."""
    matched = _RANGE.search(path)
    if matched is None or Path(path).exists():
        yield path
        return
    first, last = matched.groups()
    for number in range(int(first), int(last) + 1):
        yield from _numbered(f"{path[: matched.start()]}{number:0{len(first)}d}{path[matched.end() :]}")
