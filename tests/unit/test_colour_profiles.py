"""What the numbers of an image mean: ICC profiles, code points and gammas become sRGB, as littleCMS says."""

from __future__ import annotations

import io
import logging
import struct
import threading
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, features

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.icc import SRGB_PRIMARIES, build_profile, read_matrix_profile
from perceptmetrics.images.load import load_image, load_pixels
from perceptmetrics.images.options import DecodeOptions
from tests.support.encoded_images import encode, noise, png_chunk, sixteen_bit_png
from tests.support.press_profile import press, table_profile

D65 = (0.3127, 0.3290)
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65)
ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65)
PROPHOTO = ((0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105), (0.3457, 0.3585))
PROFILES = {
    "Display P3": build_profile(P3),
    "Adobe RGB": build_profile(ADOBE, 563 / 256),
    "ProPhoto": build_profile(PROPHOTO, 1.8),
    "linear": build_profile(gamma=1.0),
    "gamma 2.2": build_profile(gamma=2.2),
}
CMYK = table_profile(b"CMYK", press)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NEEDS_AVIF = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")


def grey_profile(gamma):
    """A profile of one curve."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    words = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"grey\0" + bytes(78)
    tags = {b"desc": words + bytes(-len(words) % 4), b"wtpt": white, b"kTRC": curve, b"cprt": b"text\0\0\0\0none"}
    start, entries, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        entries += struct.pack(">4sII", name, start + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + entries + body


def converted(image, icc):
    """The image in sRGB, by Pillow's own function: (3, H, W) in [0, 1]."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    srgb = ImageCms.createProfile("sRGB")
    done = ImageCms.profileToProfile(image, profile, srgb, renderingIntent=1, outputMode="RGB")
    return np.asarray(done).transpose(2, 0, 1) / 255


def with_chunks(png, *chunks):
    return png[:33] + b"".join(chunks) + png[33:]


def icc_chunk(icc):
    return png_chunk(b"iCCP", b"x\0\0" + zlib.compress(icc))


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize(
    "file_format",
    [
        "PNG",
        "TIFF",
        "JPEG",
        "WEBP",
        pytest.param("AVIF", marks=NEEDS_AVIF),
    ],
)
def test_profiles_of_rgb(name, file_format):
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(file_format, {})
    file = encode(noise(16, 24), file_format, icc_profile=PROFILES[name], **options)
    with Image.open(io.BytesIO(file)) as stored:
        expected = converted(stored.convert("RGB"), PROFILES[name])
        assert load_image(stored).numpy() == pytest.approx(expected, abs=1e-6)
    assert load_image(file).numpy() == pytest.approx(expected, abs=1e-6)
    assert load_pixels(file).dtype == torch.uint8
    assert not torch.equal(load_image(file), load_image(file, icc="ignore"))


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "L", "1", "YCbCr", "HSV"])
def test_profiles_of_other_modes_than_rgb(mode):
    rgb = Image.fromarray(noise(16, 24))
    image = (
        rgb.convert("RGBA") if mode == "RGBA" else rgb.convert("L").convert(mode) if mode == "LA" else rgb.convert(mode)
    )
    alpha = Image.fromarray(noise(16, 24, 1)[..., 0])
    if mode in ("RGBA", "LA"):
        image.putalpha(alpha)
    image.info["icc_profile"] = PROFILES["Display P3"]
    expected = converted(image.convert("RGB"), PROFILES["Display P3"])
    if mode in ("RGBA", "LA"):
        opacity = np.asarray(alpha) / 255
        expected = expected * opacity + 1 - opacity
    assert load_image(image).numpy() == pytest.approx(expected, abs=1.1 / 255)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_profiles_of_grey(mode):
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    file = encode(ramp.convert(mode), "PNG", icc_profile=grey_profile(1.0))
    assert load_image(file).numpy() == pytest.approx(converted(ramp, grey_profile(1.0)), abs=1e-6)
    assert load_image(file)[0, 8, 0] > 0.7  # 128 in linear light


def test_profiles_of_a_press():
    inks = Image.fromarray(noise(16, 24, 4), "CMYK")
    for file_format, options in (("TIFF", {}), ("JPEG", {"quality": 100})):
        file = encode(inks, file_format, icc_profile=CMYK, **options)
        with Image.open(io.BytesIO(file)) as stored:
            expected = converted(stored, CMYK)
        assert load_image(file).numpy() == pytest.approx(expected, abs=1e-6)
        assert load_image(file, icc="ignore").numpy() != pytest.approx(expected, abs=0.05)


def linear(values):
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb(light):
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


P3_TO_SRGB = np.array([[1.2249401, -0.2249404, 0.0], [-0.0420569, 1.0420571, 0.0], [-0.0196376, -0.0786361, 1.0982735]])
"""Of light; CSS Color Module Level 4, sample code for colour conversions."""


def test_sixteen_bits_keep_their_precision():
    samples = noise(16, 24, dtype=np.uint16)
    file = with_chunks(sixteen_bit_png(samples), icc_chunk(PROFILES["Display P3"]))
    expected = srgb(np.einsum("ij,hwj->ihw", P3_TO_SRGB, linear(samples / 65535)))
    assert load_image(file).numpy() == pytest.approx(expected, abs=3e-4)
    assert len(np.unique(load_image(file).numpy())) > 700
    eight = encode(Image.fromarray((samples >> 8).astype(np.uint8)), "PNG", icc_profile=PROFILES["Display P3"])
    assert load_image(file).numpy() == pytest.approx(load_image(eight).numpy(), abs=0.03)


@pytest.mark.parametrize("name", PROFILES)
def test_sixteen_bits_agree_with_little_cms(name):
    levels = noise(16, 24)
    file = with_chunks(sixteen_bit_png(levels.astype(np.uint16) * 257), icc_chunk(PROFILES[name]))
    assert load_image(file).numpy() == pytest.approx(converted(Image.fromarray(levels), PROFILES[name]), abs=0.006)


def test_sixteen_bits_of_grey_and_floats():
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    grey = encode(Image.fromarray(ramp), "TIFF", icc_profile=grey_profile(1.0))
    assert load_image(grey)[0].numpy() == pytest.approx(srgb(ramp / 65535), abs=1e-5)
    of_rgb = encode(Image.fromarray(ramp), "TIFF", icc_profile=PROFILES["linear"])
    assert load_image(of_rgb)[1].numpy() == pytest.approx(srgb(ramp / 65535), abs=1e-4)
    floats = encode(Image.fromarray((ramp / 65535).astype(np.float32)), "TIFF", icc_profile=grey_profile(1.0))
    assert load_image(floats)[2].numpy() == pytest.approx(srgb(ramp / 65535), abs=1e-5)


def test_sixteen_bits_with_a_table_are_converted_with_eight_and_a_warning(caplog):
    def shifted(rgb):
        return np.stack([rgb.mean(axis=1) * 100, rgb[:, 0] * 40 - 20, rgb[:, 2] * 40 - 20], axis=-1)

    profile = table_profile(b"RGB ", shifted)
    levels = noise(16, 24)
    file = with_chunks(sixteen_bit_png(levels.astype(np.uint16) * 257), icc_chunk(profile))
    with caplog.at_level(logging.WARNING, logger="perceptmetrics"):
        image = load_image(file)
    assert image.numpy() == pytest.approx(converted(Image.fromarray(levels), profile), abs=1e-6)
    assert "its colour profile is a table, so it is converted with 8 bits" in caplog.text


@pytest.mark.parametrize(
    "icc", [SRGB, build_profile(), build_profile(SRGB_PRIMARIES), None], ids=["littleCMS", "ours", "stated", "none"]
)
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF"])
def test_srgb_leaves_every_pixel_as_it_is(icc, file_format, caplog):
    plain, file = (encode(noise(40, 60), file_format, icc_profile=profile) for profile in (None, icc))
    assert torch.equal(load_pixels(file), load_pixels(plain))
    samples = noise(40, 60, dtype=np.uint16)
    deep = sixteen_bit_png(samples) if icc is None else with_chunks(sixteen_bit_png(samples), icc_chunk(icc))
    assert torch.equal(load_pixels(deep), load_pixels(samples))
    assert not caplog.records


GAMMA, CHROMATICITIES = (
    struct.pack(">I", 45455),
    struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
)
LINEAR = png_chunk(b"gAMA", struct.pack(">I", 100_000))


@pytest.mark.parametrize(
    "chunks",
    [
        [png_chunk(b"gAMA", GAMMA)],
        [png_chunk(b"gAMA", GAMMA), png_chunk(b"cHRM", CHROMATICITIES)],
        [png_chunk(b"cHRM", CHROMATICITIES)],
        [LINEAR, png_chunk(b"sRGB", b"\0")],
        [LINEAR, png_chunk(b"cICP", bytes([1, 13, 0, 1]))],
        [png_chunk(b"cICP", bytes([1, 1, 0, 1]))],
        [png_chunk(b"cICP", bytes([2, 2, 0, 1]))],
    ],
    ids=[
        "gamma",
        "gamma and chromaticities",
        "chromaticities",
        "sRGB chunk",
        "sRGB code points",
        "BT.709",
        "unspecified",
    ],
)
def test_png_files_that_say_srgb_otherwise(chunks):
    png = encode(noise(40, 60), "PNG")
    assert torch.equal(load_pixels(with_chunks(png, *chunks)), load_pixels(png))


def test_gamma_of_png():
    samples = noise(16, 24)
    for stored, values in ((samples, samples / 255), (samples[..., 0], samples[..., :1] / 255)):
        expected = np.broadcast_to(srgb(values), samples.shape).transpose(2, 0, 1)
        png = with_chunks(encode(stored, "PNG"), LINEAR)
        assert load_image(png).numpy() == pytest.approx(expected, abs=1.6 / 255)
    deep = noise(16, 24, dtype=np.uint16)
    expected = srgb(deep / 65535).transpose(2, 0, 1)
    assert load_image(with_chunks(sixteen_bit_png(deep), LINEAR)).numpy() == pytest.approx(expected, abs=3e-4)


def test_chromaticities_of_png():
    """Adobe RGB, stated as gamma and chromaticities."""
    numbers = [round(value * 100_000) for point in (ADOBE[3], *ADOBE[:3]) for value in point]
    chunks = png_chunk(b"gAMA", struct.pack(">I", 45455)), png_chunk(b"cHRM", struct.pack(">8I", *numbers))
    expected = converted(Image.fromarray(noise(16, 24)), build_profile(ADOBE, 1 / 0.45455))
    assert load_image(with_chunks(encode(noise(16, 24), "PNG"), *chunks)).numpy() == pytest.approx(expected, abs=1e-6)


def test_code_points_of_png():
    """Display P3 takes precedence over a profile, and has the curve of sRGB."""
    levels = np.full((8, 8, 3), (200, 60, 60), np.uint8)
    expected = srgb(P3_TO_SRGB @ linear(levels[0, 0] / 255)) * 255
    assert expected == pytest.approx([217, 42, 52], abs=0.6)
    chunk = png_chunk(b"cICP", bytes([12, 13, 0, 1]))
    for chunks in ([chunk], [chunk, icc_chunk(PROFILES["linear"])], [chunk, LINEAR]):
        found = load_image(with_chunks(encode(levels, "PNG"), *chunks)) * 255
        assert found[:, 0, 0].numpy() == pytest.approx(expected, abs=1.1)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_refused_unless_profiles_are_ignored(transfer, name):
    png = encode(noise(), "PNG")
    bright = with_chunks(png, png_chunk(b"cICP", bytes([9, transfer, 0, 1])))
    with pytest.raises(InvalidImageError, match=rf'display \({name}\).*icc="ignore" \(--icc ignore\)'):
        load_image(bright)
    assert torch.equal(load_image(bright, icc="ignore"), load_image(png))


@NEEDS_AVIF
def test_code_points_of_avif():
    levels = np.full((32, 32, 3), (200, 60, 60), np.uint8)
    avif = encode(levels, "AVIF", quality=100, subsampling="4:4:4")
    start = avif.index(b"colrnclx") + 8
    as_stored = load_image(avif, icc="ignore")
    assert torch.equal(load_image(avif), as_stored)
    wide = avif[:start] + struct.pack(">H", 12) + avif[start + 2 :]
    expected = srgb(P3_TO_SRGB @ linear(as_stored[:, 16, 16].double().numpy())) * 255
    assert (load_image(wide)[:, 16, 16] * 255).numpy() == pytest.approx(expected, abs=1.1)
    bright = avif[: start + 2] + struct.pack(">H", 16) + avif[start + 4 :]
    with pytest.raises(InvalidImageError, match="PQ"):
        load_image(bright)


@pytest.mark.parametrize(
    ("icc", "reason"),
    [
        (b"rubbish", "cannot open profile"),
        (PROFILES["Display P3"][:200], ""),
        (CMYK, "it is for CMYK, and the image is RGB"),
        (grey_profile(1.8), "it is for GRAY, and the image is RGB"),
        (bytes(3000), "cannot open profile"),
    ],
    ids=["rubbish", "cut", "of a press", "grey", "zeros"],
)
def test_unusable_profiles_are_ignored_with_a_warning(icc, reason, caplog):
    for file_format in ("JPEG", "TIFF"):
        caplog.clear()
        plain, file = (encode(noise(), file_format, icc_profile=profile) for profile in (None, icc))
        with caplog.at_level(logging.WARNING, logger="perceptmetrics"):
            assert torch.equal(load_pixels(file), load_pixels(plain))
        (record,) = caplog.records
        assert f"image of {len(file)} bytes: its colour profile is ignored: {reason}" in record.getMessage()
        with caplog.at_level(logging.WARNING, logger="perceptmetrics"):
            load_pixels(file, DecodeOptions(icc="ignore"))
        assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"gAMA", struct.pack(">I", 0)),
        png_chunk(b"gAMA", struct.pack(">I", 4_000_000_000)),
        png_chunk(b"gAMA", struct.pack(">I", 100_000)) + png_chunk(b"cHRM", bytes(32)),
        png_chunk(b"cICP", bytes([200, 13, 0, 1])),
        png_chunk(b"cICP", bytes([12, 99, 0, 1])),
    ],
)
def test_impossible_gammas_and_code_points_are_ignored_with_a_warning(chunk, caplog):
    png = encode(noise(), "PNG")
    with caplog.at_level(logging.WARNING, logger="perceptmetrics"):
        assert torch.equal(load_pixels(with_chunks(png, chunk)), load_pixels(png))
    assert "its colour profile is ignored" in caplog.text


def test_colours_outside_srgb_are_clipped():
    red = encode(np.full((8, 8, 3), (255, 0, 0), np.uint8), "PNG", icc_profile=PROFILES["Display P3"])
    assert (load_image(red)[:, 0, 0] * 255).tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("kind", "numbers", "values"),
    [
        (0, [2.0], lambda x: x**2),
        (1, [2.0, 0.8, 0.2], lambda x: (0.8 * x + 0.2) ** 2),
        (2, [2.0, 0.8, 0.2, 0.05], lambda x: (0.8 * x + 0.2) ** 2 + 0.05),
        (3, [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045], linear),
        (
            4,
            [2.0, 0.8, 0.2, 0.5, 0.3, 0.1, 0.02],
            lambda x: np.where(x >= 0.3, (0.8 * x + 0.2) ** 2 + 0.1, 0.5 * x + 0.02),
        ),
    ],
)
def test_curves_of_every_kind(kind, numbers, values):
    fixed = b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)
    curve = b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + fixed
    profile = bytearray(grey_profile(1.0))
    start = len(profile)
    position = profile.index(b"kTRC") + 4
    profile[position : position + 8] = struct.pack(">II", start, len(curve))
    read = read_matrix_profile(bytes(profile) + curve)
    shades = np.linspace(0, 1, 50, dtype=np.float32)
    assert read.curves[0](shades) == pytest.approx(values(shades.astype(float)), abs=1e-4)


def test_one_conversion_serves_many_threads():
    file = encode(noise(200, 200), "PNG", icc_profile=PROFILES["Adobe RGB"])
    expected, found = load_pixels(file), []
    threads = [threading.Thread(target=lambda: found.extend(load_pixels(file) for _ in range(5))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert all(torch.equal(one, expected) for one in found)
