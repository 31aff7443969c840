"""Orientation, transparency, colour modes, bit depths and animations of image files."""

from __future__ import annotations

import io
import logging
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from perceptmetrics.images.load import load_image
from tests.support.encoded_images import as_tensor, encode, noise, orientation_exif, png_chunk, sixteen_bit_png

# How a picture is stored when its EXIF orientation is the key: the stored samples from the upright ones.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def assert_close(image, expected, tolerance=1e-6):
    assert image.shape == expected.shape
    torch.testing.assert_close(image.double(), expected.double(), rtol=0, atol=tolerance)


def blend(colour, alpha):
    """Composition over white of uint8 colour (H, W, 3) with uint8 alpha (H, W, 1)."""
    alpha = alpha / 255
    return torch.from_numpy((colour / 255 * alpha + 1 - alpha).transpose(2, 0, 1).copy())


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_applied(orientation, file_format):
    upright = noise(8, 16)
    if file_format == "JPEG":  # blocks of one colour survive the compression
        upright = np.kron(noise(2, 4)[:, :, :1] // 128 * 255, np.ones((8, 8, 3), np.uint8))
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}}.get(file_format, {})
    stored = np.ascontiguousarray(STORED[orientation](upright))
    file = encode(stored, file_format, exif=orientation_exif(orientation), **options)
    assert_close(load_image(file), as_tensor(upright), tolerance=0.05 if file_format == "JPEG" else 1e-6)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_exif_orientation_of_sixteen_bit_png(orientation, channels):
    upright = noise(4, 6, channels, np.uint16)
    exif = png_chunk(b"eXIf", orientation_exif(orientation).tobytes().removeprefix(b"Exif\0\0"))
    file = sixteen_bit_png(np.ascontiguousarray(STORED[orientation](upright)), exif)
    assert torch.equal(load_image(file), load_image(upright))


def test_an_invalid_orientation_is_ignored():
    samples = noise()
    assert_close(load_image(encode(samples, "PNG", exif=orientation_exif(9))), as_tensor(samples))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
def test_rgba_is_composed_over_white(file_format):
    samples = noise(channels=4)
    samples[0, 0], samples[0, 1] = (0, 0, 0, 0), (10, 20, 30, 255)
    options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}
    image = load_image(encode(samples, file_format, **options))
    assert_close(image, blend(samples[:, :, :3], samples[:, :, 3:]), tolerance=1 / 255)
    assert image[:, 0, 0].tolist() == [1, 1, 1]
    assert_close(image[:, 0, 1], torch.tensor([10, 20, 30]) / 255)


def test_grey_with_alpha_is_composed_over_white():
    samples = noise(channels=2)
    picture = Image.merge("LA", [Image.fromarray(samples[:, :, channel]) for channel in (0, 1)])
    grey = samples[:, :, :1].repeat(3, axis=2)
    assert_close(load_image(encode(picture, "PNG")), blend(grey, samples[:, :, 1:]), tolerance=1 / 255)


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_the_transparent_colour_of_a_palette_is_white(file_format):
    indices = noise(channels=1)[:, :, 0] % 3
    picture = Image.fromarray(indices).convert("P")
    picture.putpalette([0, 0, 0, 200, 30, 40, 10, 220, 60])
    colours = np.array([[0, 0, 0], [255, 255, 255], [10, 220, 60]], np.uint8)
    assert_close(load_image(encode(picture, file_format, transparency=1)), as_tensor(colours[indices]))


def test_a_palette_png_may_be_partly_transparent():
    picture = Image.new("P", (2, 1))
    picture.putpalette([0, 0, 0, 100, 0, 0])
    picture.putpixel((1, 0), 1)
    image = load_image(encode(picture, "PNG", transparency=bytes([0, 128])))
    assert_close(image[:, 0, 0], torch.ones(3))
    assert_close(image[:, 0, 1], torch.tensor([178, 127, 127]) / 255, tolerance=1.1 / 255)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_transparent_colour_of_an_eight_bit_png_is_white(mode):
    picture = Image.new(mode, (2, 1), 7 if mode == "L" else (7, 8, 9))
    picture.putpixel((1, 0), 200 if mode == "L" else (200, 200, 200))
    image = load_image(encode(picture, "PNG", transparency=7 if mode == "L" else (7, 8, 9)))
    assert_close(image[:, 0], torch.tensor([[1, 200 / 255]] * 3))


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "TIFF", "BMP"])
def test_grey_becomes_three_equal_channels(file_format):
    samples = noise(channels=1)
    image = load_image(encode(samples[:, :, 0], file_format))
    assert_close(image, as_tensor(samples.repeat(3, axis=2)))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "BMP"])
def test_one_bit_images_are_black_and_white(file_format):
    bits = noise(channels=1)[:, :, 0] > 128
    expected = (bits * np.uint8(255))[:, :, None].repeat(3, axis=2)
    assert_close(load_image(encode(bits, file_format)), as_tensor(expected))


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (200, 40, 90)])
def test_other_colour_spaces_become_rgb(mode, colour):
    picture = Image.new("RGB", (16, 16), colour).convert(mode)
    # Pillow 12 cannot read the YCbCr that it writes without compression.
    for file in (encode(picture, "JPEG", quality=100), encode(picture, "TIFF", compression="packbits")):
        with Image.open(io.BytesIO(file)) as stored:
            assert stored.mode in (mode, "RGB")
        assert_close(load_image(file), (torch.tensor(colour) / 255)[:, None, None].expand(3, 16, 16), 3 / 255)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_precision(file_format):
    samples = noise(channels=1, dtype=np.uint16)
    image = load_image(encode(samples[:, :, 0], file_format))
    assert_close(image, as_tensor(samples.repeat(3, axis=2)), tolerance=0.01 / 65535)


def test_big_endian_sixteen_bit_tiff_keeps_its_precision():
    samples = noise(channels=1, dtype=np.uint16)
    picture = Image.frombytes("I;16B", (17, 12), samples.astype(">u2").tobytes())
    assert_close(load_image(encode(picture, "TIFF")), as_tensor(samples.repeat(3, axis=2)), tolerance=0.01 / 65535)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_png_keeps_its_precision(channels, interlaced):
    samples = noise(channels=channels, dtype=np.uint16)
    file = sixteen_bit_png(samples, interlaced=interlaced)
    assert_close(load_image(file), load_image(samples).double(), tolerance=0.01 / 65535)
    if channels == 3:
        assert_close(load_image(file), as_tensor(samples), tolerance=0.01 / 65535)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_transparent_colour_of_a_sixteen_bit_png_is_white(channels):
    samples = noise(channels=channels, dtype=np.uint16)
    samples[0, 1] = samples[0, 0]
    samples[0, 1, 0] ^= 1  # another colour, though equal in the high bytes
    key = png_chunk(b"tRNS", struct.pack(f">{channels}H", *samples[0, 0]))
    image = load_image(sixteen_bit_png(samples, key))
    expected = as_tensor(np.broadcast_to(samples, (12, 17, 3)))
    expected[:, 0, 0] = 1
    assert_close(image, expected)


def test_float_tiff_is_taken_as_it_is():
    samples = noise(channels=1, dtype=np.float32)
    assert_close(load_image(encode(samples[:, :, 0], "TIFF")), as_tensor(samples.repeat(3, axis=2)))


def test_thirty_two_bit_integers_are_read_as_sixteen_bit():
    samples = noise(channels=1, dtype=np.uint16)
    image = load_image(encode(samples[:, :, 0].astype(np.int32), "TIFF"))
    assert_close(image, as_tensor(samples.repeat(3, axis=2)))


@pytest.mark.parametrize(
    ("file_format", "options"), [("GIF", {}), ("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})]
)
def test_of_several_frames_the_first_is_used_and_a_warning_logged(file_format, options, caplog):
    first, second = (np.full((6, 5, 3), value, np.uint8) for value in (200, 20))
    file = encode(first, file_format, save_all=True, append_images=[Image.fromarray(second)], **options)
    with caplog.at_level(logging.WARNING, logger="perceptmetrics"):
        image = load_image(file)
    assert_close(image, as_tensor(first))
    assert [record.getMessage() for record in caplog.records] == [
        f"image of {len(file)} bytes has 2 frames; the first one is used."
    ]


def test_a_single_frame_is_loaded_in_silence(caplog):
    load_image(encode(noise(), "GIF"))
    assert not caplog.records


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_white_is_white_in_every_mode_of_pil_images(mode):
    white = Image.new("RGB", (5, 4), "white")
    picture = white.convert("RGBA").convert(mode) if mode in ("RGBa", "LA", "PA") else white.convert(mode)
    assert_close(load_image(picture), torch.ones(3, 4, 5))
