"""Small pictures, encoded by Pillow or, where Pillow cannot write a format, by hand."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import torch
from PIL import Image

PNG_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by number of channels
ORIENTATION_TAG = 0x0112


def noise(height=12, width=17, channels=3, dtype=np.uint8, seed=0):
    """Random samples over the whole range of an integer type, or in [0, 1] for floats: (H, W, C)."""
    generator = np.random.default_rng(seed)
    if np.issubdtype(dtype, np.integer):
        return generator.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype=dtype, endpoint=True)
    return generator.random((height, width, channels)).astype(dtype)


def encode(image, file_format, **options):
    """Bytes of a file that Pillow writes."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def orientation_exif(value):
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = value
    return exif


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_file(width, height, bits, colour_type, rows, *extra_chunks, interlaced=False):
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, int(interlaced))
    data = zlib.compress(b"".join(rows))
    chunks = [png_chunk(b"IHDR", header), *extra_chunks, png_chunk(b"IDAT", data), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def sixteen_bit_png(samples, *extra_chunks, interlaced=False):
    """A PNG with 16 bits per sample, from (H, W, C) uint16, every row unfiltered."""
    height, width, channels = samples.shape
    passes = [samples]
    if interlaced:  # Adam7
        offsets = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        passes = [samples[top::down, left::right] for top, left, down, right in offsets]
    rows = [b"\0" + row.astype(">u2").tobytes() for part in passes if part.size for row in part]
    return png_file(width, height, 16, PNG_COLOUR_TYPES[channels], rows, *extra_chunks, interlaced=interlaced)


def as_tensor(samples):
    """(H, W, 3) samples as (3, H, W) in [0, 1], by the plainest arithmetic."""
    full = np.iinfo(samples.dtype).max if np.issubdtype(samples.dtype, np.integer) else 1
    return torch.tensor((samples.astype(np.float64) / full).transpose(2, 0, 1).tolist(), dtype=torch.float64)
