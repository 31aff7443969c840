"""Which files are opened, and how: one list of formats, no other program, no flag of others, no broken EXIF."""

from __future__ import annotations

import io
import logging
import os
import re
import stat
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile, features

import perceptmetrics
from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.formats import FORMATS, readable_formats
from perceptmetrics.images.load import load_image
from perceptmetrics.images.opening import open_image
from perceptmetrics.images.options import DEFAULT_DECODING
from perceptmetrics.images.orientation import exif_orientation
from perceptmetrics.images.uploads import upload_area
from tests.support.encoded_images import as_tensor, encode, noise, orientation_exif, png_chunk

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nshowpage\n"
UPRIGHT = np.concatenate([np.full((16, 48, 3), 230, np.uint8), np.full((16, 48, 3), 30, np.uint8)])
AVIF = features.check("avif") or False


@pytest.mark.parametrize("name", ["x.png", "x.eps", "x.jpg"])
def test_postscript_starts_no_program(name, tmp_path, monkeypatch):
    called = tmp_path / "called"
    (tmp_path / "bin").mkdir()
    for program in ("gs", "gswin32c", "gswin64c"):
        script = tmp_path / "bin" / program
        script.write_text(f"#!/bin/sh\ntouch {called}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    (tmp_path / name).write_bytes(EPS)
    for source in (tmp_path / name, EPS, io.BytesIO(EPS)):
        with pytest.raises(InvalidImageError, match=r"it is PostScript \(EPS, PS\), which is a program"):
            load_image(source)
    with Image.open(io.BytesIO(EPS)) as opened, pytest.raises(InvalidImageError, match="with another program"):
        load_image(opened)
    assert not called.exists()


def test_nothing_opens_a_file_in_every_format():
    """Each `Image.open` of the package states formats."""
    package = Path(perceptmetrics.__file__).parent
    calls = {
        f"{file.relative_to(package)}: {call}"
        for file in package.rglob("*.py")
        for call in re.findall(r"Image\.open\([^\n]*", file.read_text("utf-8"))
    }
    assert calls
    assert [call for call in sorted(calls) if "formats=" not in call] == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg/>", "an SVG drawing"),
        (b"<!DOCTYPE html><html>", "a page in HTML, not an image"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"\xd7\xcd\xc6\x9a" + bytes(40), "a Windows metafile"),
        (b"8BPS\0\1" + bytes(40), "a Photoshop document"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "a HEIC image.*pillow-heif"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "a JPEG XL image.*pillow-jxl-plugin"),
        (b"\0\0\0\x18ftypcrx " + bytes(40), "a camera raw image"),
        (b"FUJIFILMCCD-RAW 0201", "a camera raw image"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "a video.*score_video"),
        (b"\x76\x2f\x31\x01" + bytes(40), "a high-dynamic-range image"),
    ],
)
def test_foreign_formats_are_refused_by_name(content, what):
    if any(name in readable_formats() for name in re.findall("HEI|JPEG XL", what)):
        pytest.skip("a plug-in of Pillow is registered")
    with pytest.raises(InvalidImageError, match=f"is not an image in a format that can be read: it is {what}"):
        load_image(content)


def test_pictures_in_other_formats_of_pillow_are_refused():
    for name in ("TGA", "ICO", "PCX", "IM", "SGI", "DDS", "ICNS"):
        with pytest.raises(InvalidImageError, match="is not an image in a format that can be read"):
            load_image(encode(noise(32, 32), name))
    assert load_image(Image.open(io.BytesIO(encode(noise(32, 32), "TGA")))).shape == (3, 32, 32)


def test_a_file_is_one_image_to_the_check_of_its_size_and_to_the_decoder():
    """A TIFF of 16 x 16 that is an IM image of 400 x 400 to a reader of all formats."""
    small = bytearray(encode(noise(16, 16), "TIFF"))
    header = b"Image type: 1 image\r\nImage size (x*y): 400*400\r\nFile size (no of images): 1\r\n"
    polyglot = bytes(small) + header + bytes(1000)
    assert upload_area(io.BytesIO(polyglot), "x", 1000) == 256
    assert load_image(polyglot).shape == (3, 16, 16)
    im = encode(Image.new("1", (40, 40)), "IM")
    for read in (lambda: upload_area(io.BytesIO(im), "x", 10**6), lambda: load_image(im)):
        with pytest.raises(InvalidImageError, match=r"x is not an image|is not an image in a format"):
            read()


def test_the_decoded_size_is_the_announced_one(monkeypatch):
    def shrink(image):
        load(image)
        image.im = image.im.crop((0, 0, 3, 3))
        image._size = (3, 3)

    load = ImageFile.ImageFile.load
    monkeypatch.setattr("perceptmetrics.images.load.load_strictly", shrink)
    with pytest.raises(InvalidImageError, match="announces 17 x 12 pixels and holds 3 x 3"):
        load_image(encode(noise(), "PNG"))


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.95])
def test_the_flag_of_others_to_load_truncated_files_is_not_obeyed(file_format, fraction, monkeypatch):
    whole = encode(noise(80, 96), file_format)
    cut = whole[: int(fraction * len(whole))]
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    expected = load_image(whole)
    sources = (lambda: cut, lambda: io.BytesIO(cut), lambda: Image.open(io.BytesIO(cut)))
    # Pillow itself refuses to open a truncated WebP, and takes any JPEG 2000 for whole.
    for source in sources if file_format not in ("WEBP", "JPEG2000") else sources[:2]:
        with pytest.raises(InvalidImageError, match=r"is truncated or corrupt|is not an image"):
            load_image(source())
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    assert torch.equal(load_image(whole), expected)


def test_corrupt_data_is_an_error_whatever_the_flag_says(monkeypatch):
    tiff = bytearray(encode(noise(40, 60), "TIFF", compression="tiff_lzw"))
    tiff[100:3000] = b"\xff" * 2900
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(InvalidImageError, match="corrupt"):
        load_image(bytes(tiff))


def test_the_flag_may_change_while_images_are_decoded(monkeypatch):
    """Another thread turns it on and off all the time."""
    whole = encode(noise(64, 64), "JPEG")
    cut, stop = whole[: len(whole) // 2], threading.Event()

    def turn():
        while not stop.is_set():
            ImageFile.LOAD_TRUNCATED_IMAGES = not ImageFile.LOAD_TRUNCATED_IMAGES

    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    thread = threading.Thread(target=turn)
    thread.start()
    try:
        for _ in range(200):
            with pytest.raises(InvalidImageError, match="truncated"):
                load_image(cut)
    finally:
        stop.set()
        thread.join()


def broken_exif(orientation, order="<", kind=10):
    """EXIF whose XResolution cannot be written back, and an orientation."""
    entries = struct.pack(order + "HHII", 0x11A, kind, 1, 38)
    entries += struct.pack(order + "HHIHH", 0x112, 3, 1, orientation, 0)
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, 2)
    return header + entries + struct.pack(order + "Iii", 0, -1, 0)


def with_exif(file_format, block):
    """A file of blocks that compression leaves alone, with any EXIF."""
    if file_format == "PNG":
        png = encode(UPRIGHT, "PNG")
        return png[:33] + png_chunk(b"eXIf", block) + png[33:]
    if file_format == "PNG text":
        lines = "\nexif\n" + f"{len(block) + 6:8d}\n" + (b"Exif\0\0" + block).hex()
        png = encode(UPRIGHT, "PNG")
        return png[:33] + png_chunk(b"tEXt", b"Raw profile type exif\0" + lines.encode()) + png[33:]
    if file_format == "JPEG":
        jpeg, segment = encode(UPRIGHT, "JPEG", quality=95), b"Exif\0\0" + block
        return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]
    options = {"lossless": True} if file_format == "WEBP" else {}
    return encode(UPRIGHT, file_format, exif=b"Exif\0\0" + block, **options)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [2, 5, 8, 9, 10, 11, 12, 99])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "PNG text", "WEBP"])
def test_exif_that_cannot_be_written_back_turns_the_image(file_format, kind, order):
    turned = load_image(with_exif(file_format, broken_exif(6, order, kind)))
    assert torch.equal(turned, load_image(with_exif(file_format, broken_exif(1))).rot90(-1, (1, 2)))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "block", [b"", b"II*\0", b"MM\0*\0\0\0\x08\xff\xff", b"rubbish", broken_exif(6)[:20], bytes(200)]
)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_rubbish_in_place_of_exif_is_no_error(file_format, block):
    assert load_image(with_exif(file_format, block)).shape == (3, 32, 48)


def test_broken_exif_of_pil_images():
    with Image.open(io.BytesIO(with_exif("JPEG", broken_exif(6)))) as opened:
        assert load_image(opened).shape == (3, 48, 32)
    changed = Image.fromarray(UPRIGHT)
    changed.getexif()[0x112] = 6
    assert load_image(changed).shape == (3, 48, 32)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_with_broken_exif_is_turned(orientation):
    file = encode(noise(6, 9), "TIFF", tiffinfo={274: orientation, 34000: 4_000_000_000})
    broken = file.replace(struct.pack("<H", 34000), struct.pack("<H", 34665))  # EXIF beyond the end of the file
    assert broken != file
    plain = load_image(file)
    assert torch.equal(load_image(broken), plain)
    assert plain.shape == ((3, 6, 9) if orientation < 5 else (3, 9, 6))


@pytest.mark.skipif(not AVIF, reason="this Pillow reads no AVIF")
@pytest.mark.parametrize("orientation", [1, 6])
def test_broken_exif_in_avif(orientation):
    file = encode(UPRIGHT, "AVIF", quality=100, subsampling="4:4:4", exif=orientation_exif(orientation).tobytes())
    whole = load_image(file)
    assert whole.shape == ((3, 32, 48) if orientation == 1 else (3, 48, 32))
    block = encode(UPRIGHT, "AVIF", quality=100, subsampling="4:4:4", exif=_without_orientation(broken_exif(6)))
    assert load_image(block.replace(_without_orientation(broken_exif(6)), broken_exif(6))).shape == (3, 32, 48)


def _without_orientation(block):
    return block.replace(struct.pack("<HH", 0x112, 3), struct.pack("<HH", 0x113, 3))


def test_the_orientation_may_stand_in_xmp():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    assert load_image(encode(UPRIGHT, "JPEG", xmp=xmp)).shape == (3, 48, 32)


@pytest.mark.parametrize(("kind", "code"), [(1, "B"), (3, "H"), (4, "I"), (8, "h"), (9, "i")])
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientations_of_any_integer_type(order, kind, code):
    entry = struct.pack(order + "HHI", 274, kind, 1) + struct.pack(order + code, 8).ljust(4, b"\0")
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, 1)
    assert exif_orientation(b"Exif\0\0" + header + entry) == 8
    assert exif_orientation(b"Exif\0\0Exif\0\0" + header + entry) == 8


@pytest.mark.filterwarnings("error")
def test_photographs_with_a_second_picture_are_loaded_in_silence(caplog):
    """MPO, as most phones write it: whole, with the second picture cut off, and as a PIL image."""
    first, second = noise(48, 64), noise(24, 32)
    mpo = encode(Image.fromarray(first), "MPO", save_all=True, append_images=[Image.fromarray(second)])
    end = mpo.index(b"\xff\xd9") + 2
    expected = load_image(mpo[:end])
    with caplog.at_level(logging.DEBUG, logger="perceptmetrics"):
        assert torch.equal(load_image(mpo), expected)
        assert torch.equal(load_image(Image.open(io.BytesIO(mpo))), expected)
    assert not caplog.records


def test_camera_raw_files_are_refused_though_their_preview_could_be_read():
    dng = encode(noise(), "TIFF", tiffinfo={50706: b"\1\4\0\0"})
    with pytest.raises(InvalidImageError, match="is a camera raw image, whose first picture is a preview"):
        load_image(dng)


def test_jpegs_and_pngs_are_what_pillow_makes_of_them():
    for file_format in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"):
        file = encode(noise(40, 60), file_format)
        with Image.open(io.BytesIO(file)) as opened:
            expected = as_tensor(np.asarray(opened.convert("RGB"))).float()
        assert torch.equal(load_image(file), expected)


def test_the_format_is_known_before_anything_is_decoded():
    with open_image(io.BytesIO(encode(noise(), "PNG")), "x", DEFAULT_DECODING) as image:
        assert (image.format, image.size) == ("PNG", (17, 12))


@pytest.mark.slow
def test_a_photograph_of_108_megapixels_is_scored_without_a_warning(tmp_path):
    Image.new("L", (12000, 9000), 120).save(tmp_path / "large.jpg", quality=40)
    command = [sys.executable, "-m", "perceptmetrics", "score", str(tmp_path / "large.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "Warning" in done.stderr) == (0, False), done.stderr
