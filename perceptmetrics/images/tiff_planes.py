"""TIFF files whose channels are stored one after the other: each plane is read as a grey TIFF of its own.

Pillow reads such planes with 8 bits a sample, and grey with transparency wrongly. As grey images it reads them right.
"""

from __future__ import annotations

import io
import struct
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

__all__ = ["read_planes"]

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIPS, _SAMPLES, _ROWS, _STRIP_BYTES, _PREDICTOR = 273, 277, 278, 279, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _FORMAT = 322, 323, 324, 325, 339
_KEPT = (_WIDTH, _HEIGHT, _COMPRESSION, _FILL_ORDER, _ROWS, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT)
_OF_EACH_PLANE = (_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES)
_BLACK_IS_ZERO = 1
_LONG = 4


def read_planes(
    stream: IO[bytes], tags: ImageFileDirectory_v2, decode: Callable[[IO[bytes]], NDArray[Any]]
) -> NDArray[Any]:
    """Read the planes of a TIFF.

    Args:
        stream: The file.
        tags: Its tags.
        decode: Decodes a grey TIFF to an array of shape (H, W).

    Returns:
        Shape (H, W, C), as stored.

    Raises:
        ValueError: The strips or tiles of the file cannot be divided among its planes.
    """
    stream.seek(0)
    content = stream.read()
    return np.stack([decode(io.BytesIO(plane)) for plane in _grey_files(content, tags)], axis=-1)


def _grey_files(content: bytes, tags: ImageFileDirectory_v2) -> Iterator[bytes]:
    """The file once for each plane: with another directory, at its end, that describes this plane alone."""
    count = int(tags[_SAMPLES])
    bits, kinds = _each(tags.get(_BITS, 1), count), _each(tags.get(_FORMAT, 1), count)
    shared = {tag: (int(tags[tag]),) for tag in _KEPT if tag in tags}
    order = "<" if tags.prefix == b"II" else ">"
    start = len(content) + len(content) % 2
    header = tags.prefix + struct.pack(order + "HI", 42, start)  # a BigTIFF becomes a TIFF
    body = header + content[len(header) :].ljust(start - len(header), b"\0")
    for plane in range(count):
        own = {tag: _part(tags[tag], plane, count) for tag in _OF_EACH_PLANE if tag in tags}
        grey = {_BITS: (bits[plane],), _FORMAT: (kinds[plane],), _PHOTOMETRIC: (_BLACK_IS_ZERO,), _SAMPLES: (1,)}
        yield body + _directory({**shared, **own, **grey}, start, order)


def _directory(entries: dict[int, tuple[int, ...]], start: int, order: str) -> bytes:
    """A directory of tags as it stands in a file, all values as 32-bit numbers.

    Args:
        entries: Values by tag.
        start: Where in the file it stands.
        order: Byte order, as `struct` spells it.
    """
    table, beyond = struct.pack(order + "H", len(entries)), b""
    after = start + 2 + 12 * len(entries) + 4
    for tag, values in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            beyond, packed = beyond + packed, struct.pack(order + "I", after + len(beyond))
        table += struct.pack(order + "HHI", tag, _LONG, len(values)) + packed
    return table + b"\0\0\0\0" + beyond


def _part(values: Any, plane: int, count: int) -> tuple[int, ...]:
    if not isinstance(values, tuple) or len(values) % count:
        raise ValueError("its strips cannot be divided among its planes")
    length = len(values) // count
    return values[plane * length : (plane + 1) * length]


def _each(value: Any, count: int) -> tuple[int, ...]:
    values = value if isinstance(value, tuple) else (value,)
    return values if len(values) >= count else values[:1] * count
