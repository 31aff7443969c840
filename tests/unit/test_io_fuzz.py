"""Damaged files give a tensor or an `InvalidImageError`: no other error, no crash."""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import features

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.load import load_image
from tests.support.encoded_images import encode, noise, orientation_exif, png_chunk, sixteen_bit_png

PICTURE = noise(9, 11)


def png16_with_exif():
    exif = png_chunk(b"eXIf", orientation_exif(6).tobytes().removeprefix(b"Exif\0\0"))
    return sixteen_bit_png(noise(9, 11, dtype=np.uint16), exif)


def planes(samples):
    """A TIFF whose channels are stored one after the other; nothing if tifffile is not installed."""
    tifffile = pytest.importorskip("tifffile")
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples.transpose(2, 0, 1), photometric="separated", planarconfig="separate")
    return stream.getvalue()


FILES = {
    "png": encode(PICTURE, "PNG"),
    "png16": png16_with_exif(),
    "png16-alpha": sixteen_bit_png(noise(9, 11, 2, np.uint16)),
    "jpeg": encode(PICTURE, "JPEG", exif=orientation_exif(8)),
    "gif": encode(PICTURE, "GIF", save_all=True, append_images=[]),
    "tiff": encode(PICTURE, "TIFF"),
    "tiff16": encode(noise(9, 11, 1, np.uint16)[:, :, 0], "TIFF", compression="tiff_lzw"),
    "tiff-planes": planes(noise(9, 11, 4, np.uint16)),
    "tiff-float": encode(noise(9, 11, 1, np.float32)[:, :, 0], "TIFF"),
}
if features.check("webp"):
    FILES["webp"] = encode(PICTURE, "WEBP")


def with_valid_checksums(png):
    """Repair the chunk checksums, so that damage reaches the code behind them."""
    png, start = bytearray(png), 8
    while start + 12 <= len(png):
        end = start + 8 + struct.unpack(">I", png[start : start + 4])[0]
        if end + 4 > len(png):
            break
        png[end : end + 4] = struct.pack(">I", zlib.crc32(bytes(png[start + 4 : end])))
        start = end + 4
    return bytes(png)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=250, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files(name, data, capfd):
    damaged = bytearray(FILES[name])
    places = st.integers(0, 60) | st.integers(0, len(damaged) - 1)  # headers are where it hurts
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        damaged[place] = value
    if data.draw(st.booleans()):
        damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    if name.startswith("png") and data.draw(st.booleans()):
        damaged = with_valid_checksums(damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of some damage that it can read past
        logging.disable(logging.WARNING)
        try:
            image = load_image(bytes(damaged))
        except InvalidImageError:
            return
        finally:
            logging.disable(logging.NOTSET)
    assert image.dtype == torch.float32
    assert image.shape[0] == 3
    assert image.isfinite().all()


@pytest.mark.parametrize("name", FILES)
def test_the_whole_files_are_readable(name):
    assert sorted(load_image(io.BytesIO(FILES[name]).getvalue()).shape) == [3, 9, 11]
