"""Every kind of source that `load_image` takes becomes (3, H, W), float32, RGB in [0, 1]."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from perceptmetrics.images.load import load_image, load_pixels, to_unit_float
from tests.support.encoded_images import as_tensor, encode, noise

DTYPES = (np.uint8, np.uint16, np.float16, np.float32, np.float64)


def over_white(samples):
    """What an array of any number of channels should look like, computed in float64."""
    full = np.iinfo(samples.dtype).max if np.issubdtype(samples.dtype, np.integer) else 1
    values = samples.astype(np.float64) / full
    values = values[:, :, None] if values.ndim == 2 else values
    if values.shape[2] in (2, 4):
        colour, alpha = values[:, :, :-1], values[:, :, -1:]
        values = alpha * colour + (1 - alpha) * 1.0
    return torch.from_numpy(np.broadcast_to(values, (*values.shape[:2], 3)).transpose(2, 0, 1).copy())


def assert_canonical(image, expected, tolerance=1e-6):
    assert image.dtype == torch.float32
    assert image.shape == expected.shape
    torch.testing.assert_close(image.double(), expected.double(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", ["str", "Path", "bytes", "PIL", "array", "tensor"])
def test_every_kind_of_source_gives_the_same_image(kind, tmp_path):
    samples = noise()
    path = tmp_path / "picture.png"
    path.write_bytes(encode(samples, "PNG"))
    source = {
        "str": str(path),
        "Path": path,
        "bytes": path.read_bytes(),
        "PIL": Image.fromarray(samples),
        "array": samples,
        "tensor": torch.from_numpy(samples.copy()).permute(2, 0, 1) / 255,
    }[kind]
    assert_canonical(load_image(source), as_tensor(samples))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
def test_arrays_of_every_type_and_number_of_channels(dtype, channels):
    samples = noise(channels=channels or 1, dtype=dtype)
    samples = samples[:, :, 0] if channels is None else samples
    assert_canonical(load_image(samples), over_white(samples))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["flipped", "transposed", "read-only", "cut out", "big-endian"])
def test_the_layout_of_an_array_in_memory_does_not_matter(dtype, layout):
    samples = noise(dtype=dtype)
    view = {
        "flipped": lambda a: a[::-1, ::-1, ::-1],
        "transposed": lambda a: a.transpose(1, 0, 2),
        "read-only": lambda a: a,
        "cut out": lambda a: a[1:7:2, 3:9],
        "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    }[layout](samples)
    if layout == "read-only":
        view.flags.writeable = False
    assert_canonical(load_image(view), over_white(np.ascontiguousarray(view)))


@pytest.mark.parametrize("shape", [(6, 5, 3), (6, 5, 1), (6, 5), (1, 1, 3), (1, 1)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_image_shares_no_memory_with_the_array_it_came_from(shape, dtype):
    samples = np.zeros(shape, dtype=dtype)
    pixels = load_pixels(samples)
    samples[...] = 1
    assert not pixels.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_of_every_floating_point_type(dtype):
    source = torch.rand(3, 5, 7).to(dtype)
    assert_canonical(load_image(source), source.double())


def test_eight_bit_pixels_stay_eight_bit_until_they_are_scored():
    samples = noise()
    pixels = load_pixels(samples)
    assert pixels.dtype == torch.uint8
    assert torch.equal(to_unit_float(pixels), load_image(samples))
    assert pixels.dtype == torch.uint8


@pytest.mark.parametrize("value", [1.0000001, 1.00009, -0.00009, 0.0, 1.0])
@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_rounding_beyond_the_unit_range_passes(value, kind):
    source = np.full((4, 4, 3), value) if kind == "array" else torch.full((3, 4, 4), value, dtype=torch.float64)
    assert load_image(source).shape == (3, 4, 4)


@pytest.mark.parametrize("wrap", [bytearray, memoryview, io.BytesIO], ids=lambda wrap: wrap.__name__)
def test_other_holders_of_encoded_bytes(wrap):
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), (255, 0, 0)).save(buffer, "PNG")
    assert load_image(wrap(buffer.getvalue()))[:, 0, 0].tolist() == [1.0, 0.0, 0.0]
