"""Whatever is not a readable image is refused with a message of its own."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from perceptmetrics.errors import InvalidImageError, InvalidOptionError, PerceptMetricsError
from perceptmetrics.images.load import check_tensor, load_image
from tests.support.encoded_images import encode, noise, png_file, sixteen_bit_png

NO_IMAGE = "is not an image in a format that can be read"
DAMAGED = "is truncated or corrupt"
JPEG = encode(noise(40, 60), "JPEG")
PNG = encode(noise(40, 60), "PNG")
PNG16 = sixteen_bit_png(noise(20, 30, dtype=np.uint16))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("whole", [JPEG, PNG, PNG16], ids=["JPEG", "PNG", "16-bit PNG"])
def test_truncated_files(whole, share, tmp_path):
    path = tmp_path / "cut.img"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InvalidImageError, match=f"cut.img {DAMAGED}: .*trunc"):
        load_image(path)


@pytest.mark.parametrize("length", [1, 7, 20])
@pytest.mark.parametrize("whole", [JPEG, PNG], ids=["JPEG", "PNG"])
def test_a_cut_header_is_no_image(whole, length):
    with pytest.raises(InvalidImageError, match=f"image of {length} bytes ({NO_IMAGE}|{DAMAGED})"):
        load_image(whole[:length])


@pytest.mark.parametrize("content", [b"Hello, this is a text.", noise().tobytes()[1:], b"\0" * 500, b"<svg></svg>"])
def test_files_that_are_no_images(content, tmp_path):
    path = tmp_path / "text.png"
    path.write_bytes(content)
    with pytest.raises(InvalidImageError, match=f"text.png {NO_IMAGE}"):
        load_image(path)


def test_empty_files(tmp_path):
    (tmp_path / "nothing.png").touch()
    with pytest.raises(InvalidImageError, match=r"nothing\.png is empty \(0 bytes\)"):
        load_image(tmp_path / "nothing.png")
    with pytest.raises(InvalidImageError, match=r"is empty \(0 bytes\)"):
        load_image(b"")


def test_missing_files(tmp_path):
    with pytest.raises(InvalidImageError, match=r"gone\.png does not exist"):
        load_image(tmp_path / "gone.png")


@pytest.mark.parametrize("source", ["with a null \0 byte.png", "long" * 3000 + ".png"], ids=["null", "long"])
def test_impossible_paths(source):
    with pytest.raises(InvalidImageError, match=r"cannot be opened"):
        load_image(source)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidImageError, match=r"cannot be opened: .*Not a directory"):
        load_image(tmp_path / "file" / "picture.png")


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(InvalidImageError, match="is a folder; expected an image file"):
        load_image(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_forbidden_files(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(PNG)
    path.chmod(0)
    with pytest.raises(InvalidImageError, match="permission denied"):
        load_image(path)


@pytest.mark.parametrize("limit", [1199, 100])
@pytest.mark.parametrize("handling", ["error", "ignore"])
def test_decompression_bombs(limit, handling, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    warnings.simplefilter(handling)  # what becomes of Pillow's own warning; pytest restores the filters
    with pytest.raises(InvalidImageError, match=f"more than {2 * limit:,} pixels, a limit .* max_image_pixels="):
        load_image(PNG)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("limit", [2400, 1200, None])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF", "GIF"])
def test_the_limit_of_pixels_is_twice_pillows(limit, file_format, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    assert load_image(encode(noise(40, 60), file_format)).shape == (3, 40, 60)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF"])
def test_the_limit_of_pixels_can_be_stated(file_format, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    file = encode(noise(40, 60), file_format)
    assert load_image(file, max_image_pixels=2400).shape == (3, 40, 60)
    with pytest.raises(InvalidImageError, match=r"60 x 40: it has more than 2,399 pixels"):
        load_image(file, max_image_pixels=2399)


@pytest.mark.parametrize("options", [{"max_image_pixels": 0}, {"max_image_pixels": 1.5}, {"icc": "sRGB"}])
def test_impossible_options_of_decoding(options):
    with pytest.raises(InvalidOptionError, match=f"{next(iter(options))} must be"):
        load_image(PNG, **options)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_header_that_claims_60000_x_60000_allocates_nothing(bits):
    with pytest.raises(InvalidImageError, match=r"60000 x 60000: it has more than .* decompression bombs"):
        load_image(png_file(60000, 60000, bits, 2, [b"\0" * 100]))


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0, 3), (0, 5), (5, 0, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_arrays_without_pixels(shape, dtype):
    with pytest.raises(InvalidImageError, match=r"The array has no pixels: shape \("):
        load_image(np.zeros(shape, dtype))


@pytest.mark.parametrize("shape", [(3, 0, 5), (3, 5, 0)])
def test_tensors_without_pixels(shape):
    with pytest.raises(InvalidImageError, match=r"The image has no pixels: shape \(3, "):
        load_image(torch.zeros(shape))


def test_an_empty_batch_is_refused():
    with pytest.raises(InvalidImageError, match=r"no pixels: shape \(0, 3, 4, 5\)"):
        check_tensor(torch.zeros(0, 3, 4, 5))


def test_pil_images_without_pixels():
    with pytest.raises(InvalidImageError, match="PIL image has no pixels: 0 x 5"):
        load_image(Image.new("RGB", (0, 5)))


@pytest.mark.parametrize("shape", [(7,), (5, 6, 5), (2, 5, 6, 3), (3, 5, 6, 3), (5, 6, 0)])
def test_arrays_of_other_shapes(shape):
    with pytest.raises(InvalidImageError, match=r"Expected an array of shape \(H, W\).*got \(") as caught:
        load_image(np.zeros(shape, np.uint8))
    assert "channels-first" not in str(caught.value)


def test_channels_first_arrays_get_a_hint():
    with pytest.raises(InvalidImageError, match=r"got \(3, 8, 9\)\. It looks like channels-first; transpose it"):
        load_image(np.zeros((3, 8, 9), np.uint8))


@pytest.mark.parametrize("shape", [(4, 8, 9), (1, 8, 9)])
def test_tensors_with_other_channels(shape):
    with pytest.raises(InvalidImageError, match=r"Expected 3 channels \(RGB\) in dimension 0, got shape") as caught:
        load_image(torch.zeros(shape))
    assert "channels-last" not in str(caught.value)


@pytest.mark.parametrize(("shape", "dimension"), [((8, 9, 3), 0), ((2, 8, 9, 3), 1)])
def test_channels_last_tensors_get_a_hint(shape, dimension):
    with pytest.raises(InvalidImageError, match=rf"dimension {dimension}, .*channels-last; use \.movedim\(-1, -3\)"):
        check_tensor(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(8, 9), (8,), (1, 3, 8, 9), (1, 1, 3, 8, 9)])
def test_a_single_image_has_three_dimensions(shape):
    with pytest.raises(InvalidImageError, match=r"Expected a tensor of shape \(3, H, W\), got \("):
        load_image(torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_integer_tensors(dtype):
    with pytest.raises(InvalidImageError, match=rf"floating-point tensor .* got {dtype}.*x\.float\(\) / 255"):
        load_image(torch.ones(3, 4, 4, dtype=dtype))


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint32, np.bool_, np.complex64])
def test_arrays_of_other_types(dtype):
    with pytest.raises(InvalidImageError, match=rf"uint8, uint16 or floats .* got {np.dtype(dtype)}"):
        load_image(np.ones((4, 4, 3), dtype))


VALUES = [
    (0.0, 255.0, "got 0 to 255. This looks like 0..255; divide by 255"),
    (3.0, 90.0, "This looks like 0..255; divide by 255"),
    (-1.0, 1.0, r"This looks like -1..1; use \(x \+ 1\) / 2"),
    (-0.0002, 0.5, r"This looks like -1..1; use \(x \+ 1\) / 2"),
    (0.0, 1.0002, "got 0 to 1.0002. Clamp or rescale it"),
    (0.0, 65535.0, "Clamp or rescale it"),
    (-2.1, 2.6, "undo any mean/std normalisation"),
    (0.0, float("nan"), "NaN or infinite values"),
    (0.0, float("inf"), "NaN or infinite values"),
    (float("-inf"), 1.0, "NaN or infinite values"),
]


@pytest.mark.parametrize("kind", ["array", "tensor", "float TIFF"])
@pytest.mark.parametrize(("low", "high", "message"), VALUES)
def test_values_outside_the_unit_range(low, high, message, kind):
    samples = np.full((4, 5), 0.5, np.float32)
    samples[0, 0], samples[2, 3] = low, high
    source = {
        "array": samples,
        "tensor": torch.from_numpy(samples).expand(3, -1, -1),
        "float TIFF": encode(samples, "TIFF"),
    }[kind]
    with pytest.raises(InvalidImageError, match=message):
        load_image(source)


@pytest.mark.parametrize(("low", "high"), [(-1, 5), (0, 65536)])
def test_thirty_two_bit_integers_out_of_range(low, high):
    with pytest.raises(InvalidImageError, match=f"32-bit integers from {low} to {high}; expected 0..65535"):
        load_image(Image.fromarray(np.array([[low, high]], np.int32)))


@pytest.mark.parametrize("source", [None, 5, {"a": 1}, [[0.5]], object()])
def test_other_types(source):
    with pytest.raises(InvalidImageError, match=f"Expected a path.*got {type(source).__name__}"):
        load_image(source)


def test_pil_images_that_can_no_longer_be_read(tmp_path):
    path = tmp_path / "cut.jpg"
    path.write_bytes(JPEG[: len(JPEG) // 2])
    with Image.open(path) as lazy, pytest.raises(InvalidImageError, match=f"PIL image {DAMAGED}"):
        load_image(lazy)
    closed = Image.new("RGB", (4, 4))
    closed.close()
    with pytest.raises(InvalidImageError, match="PIL image"):
        load_image(closed)


def test_lack_of_memory_is_not_blamed_on_the_file(monkeypatch):
    def fail(self):
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    with pytest.raises(MemoryError):
        load_image(PNG)


def test_the_error_is_also_a_value_error():
    with pytest.raises(ValueError, match="is empty") as caught:
        load_image(b"")
    assert isinstance(caught.value, PerceptMetricsError)


def test_a_mistake_in_code_is_not_reported_as_a_corrupt_file(monkeypatch):
    def mistaken(_):
        raise AttributeError("no such thing")

    monkeypatch.setattr("perceptmetrics.images.load.orientation_of", mistaken)
    monkeypatch.setattr("PIL.Image.Image.getexif", mistaken)
    for source in (PNG, Image.new("RGB", (8, 8))):
        with pytest.raises(AttributeError, match="no such thing"):
            load_image(source)
