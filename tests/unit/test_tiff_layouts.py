"""Layouts of TIFF files, written by tifffile: each is read right or refused by name, and none wrongly."""

from __future__ import annotations

import io
import itertools
import struct
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.load import load_image
from tests.support.encoded_images import encode, noise

tifffile = pytest.importorskip("tifffile")

HEIGHT, WIDTH = 33, 21
CHANNELS = {  # (photometric interpretation, meaning of the extra sample): number of channels
    ("minisblack", None): 1,
    ("miniswhite", None): 1,
    ("minisblack", "unassalpha"): 2,
    ("minisblack", "unspecified"): 2,
    ("rgb", None): 3,
    ("rgb", "unassalpha"): 4,
    ("rgb", "assocalpha"): 4,
    ("rgb", "unspecified"): 4,
    ("separated", None): 4,
    ("ycbcr", None): 3,
}
STORAGE = {
    "one strip": {"rowsperstrip": HEIGHT},
    "strips": {"rowsperstrip": 8},
    "tiles": {"tile": (16, 16)},
    "compressed strips": {"rowsperstrip": 8, "compression": "zlib"},
    "compressed tiles": {"tile": (16, 16), "compression": "zlib"},
    "predictor": {"rowsperstrip": 8, "compression": "zlib", "predictor": True},
}
LAYOUTS = [
    (*kind, depth, planes, storage, order)
    for kind, depth, planes, storage, order in itertools.product(
        CHANNELS, ("u1", "u2", "f4"), ("contig", "separate"), STORAGE, "<>"
    )
    if not (planes == "separate" and CHANNELS[kind] == 1)
    and not (storage == "predictor" and depth == "f4")  # needs imagecodecs
    and not (kind[0] == "ycbcr" and (depth != "u1" or planes == "separate"))
]


def samples_of(kind, depth):
    """Samples as they are stored, (H, W, C): a gradient of colour with noise."""
    generator = np.random.default_rng(7)
    gradient = np.linspace(0.1, 0.9, WIDTH)[None, :, None] * np.array([1, 0.6, 0.3, 0.8][: CHANNELS[kind]])
    unit = gradient + generator.random((HEIGHT, WIDTH, CHANNELS[kind])) * 0.1
    if kind[1] == "assocalpha":
        unit[..., :-1] *= unit[..., -1:]
    dtype = np.dtype(depth)
    return unit.astype(dtype) if depth == "f4" else np.round(unit * np.iinfo(dtype).max).astype(dtype)


def written(kind, samples, planes, storage, order):
    data = samples[..., 0] if samples.shape[2] == 1 else samples
    if planes == "separate":
        data = np.ascontiguousarray(samples.transpose(2, 0, 1))
    options = {"planarconfig": planes} if samples.shape[2] > 1 else {}
    if kind[1] is not None:
        options["extrasamples"] = [kind[1]]
    if kind[0] == "ycbcr":
        options["subsampling"] = (1, 1)
    stream = io.BytesIO()
    data = data.astype(data.dtype.newbyteorder(order))
    tifffile.imwrite(stream, data, photometric=kind[0], byteorder=order, metadata=None, **options, **STORAGE[storage])
    return stream.getvalue()


def meant(kind, samples):
    """What the samples mean by the specification, (H, W, 3) in [0, 1], by the plainest arithmetic."""
    unit = samples / (np.iinfo(samples.dtype).max if samples.dtype.kind == "u" else 1.0)
    photometric, extra = kind
    if photometric == "separated":
        return (1 - unit[..., :3]) * (1 - unit[..., 3:])
    if photometric == "ycbcr":
        light, blue, red = unit[..., 0], unit[..., 1] - 128 / 255, unit[..., 2] - 128 / 255
        rgb = (light + 1.402 * red, light - 0.344136 * blue - 0.714136 * red, light + 1.772 * blue)
        return np.stack(rgb, axis=-1).clip(0, 1)
    colours = 3 if photometric == "rgb" else 1
    colour, alpha = unit[..., :colours], unit[..., colours:]
    colour = 1 - colour if photometric == "miniswhite" else colour
    if extra == "unassalpha":
        colour = colour * alpha + 1 - alpha
    elif extra == "assocalpha":
        colour = np.minimum(colour + 1 - alpha, 1)
    return np.broadcast_to(colour, (HEIGHT, WIDTH, 3))


@pytest.mark.filterwarnings("error")
def test_every_layout_is_read_right_or_refused_by_name():
    counts: Counter[str] = Counter()
    wrong = []
    for photometric, extra, depth, planes, storage, order in LAYOUTS:
        kind = (photometric, extra)
        samples = samples_of(kind, depth)
        file = written(kind, samples, planes, storage, order)
        assert tifffile.imread(io.BytesIO(file)).size == samples.size
        try:
            image = load_image(file)
        except InvalidImageError as refusal:
            counts["refused" if "its layout is not supported: photometric" in str(refusal) else str(refusal)] += 1
            continue
        error = abs(image.permute(1, 2, 0).numpy() - meant(kind, samples)).max()
        if error > (2.1 / 255 if depth == "u1" else 1.1 / 65535):
            wrong.append((photometric, extra, depth, planes, storage, order, float(error)))
        counts["right"] += 1
    assert wrong == []
    assert counts == {"right": 360, "refused": 196}


def test_bits_that_do_not_fill_bytes():
    """12 bits: 4095 is white."""
    values = np.array([[0, 4095, 2048, 1000]], np.uint16)
    packed = b"".join(
        struct.pack(">I", (int(first) << 12 | int(second)) << 8)[:3] for first, second in values.reshape(-1, 2)
    )
    entries = {256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(packed)}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    start = 8 + len(packed)
    file = b"II*\0" + struct.pack("<I", start) + packed + struct.pack("<H", len(entries)) + directory + bytes(4)
    assert load_image(file)[0].numpy() == pytest.approx(values / 4095, abs=1e-6)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_signed_samples_are_refused(dtype):
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.full((5, 6), 100, dtype), photometric="minisblack")
    with pytest.raises(InvalidImageError, match=r"is a TIFF of signed (8|16)-bit numbers, which do not say what black"):
        load_image(stream.getvalue())


@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_a_big_tiff_of_sixteen_bits(planes):
    samples = noise(HEIGHT, WIDTH, dtype=np.uint16)
    data = samples if planes == "contig" else np.ascontiguousarray(samples.transpose(2, 0, 1))
    stream = io.BytesIO()
    tifffile.imwrite(stream, data, photometric="rgb", planarconfig=planes, bigtiff=True)
    assert load_image(stream.getvalue()).numpy() == pytest.approx(samples.transpose(2, 0, 1) / 65535, abs=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_sixteen_bit_colour_is_turned(planes, orientation):
    samples = noise(8, 9, dtype=np.uint16)
    data = samples if planes == "contig" else np.ascontiguousarray(samples.transpose(2, 0, 1))
    stream, eight = io.BytesIO(), encode(samples.astype(np.uint8), "TIFF", tiffinfo={274: orientation})
    tifffile.imwrite(
        stream, data, photometric="rgb", planarconfig=planes, metadata=None, extratags=[(274, 3, 1, orientation, True)]
    )
    high = load_image(stream.getvalue()).mul(65535).round().int()
    assert np.array_equal(high.numpy() % 256, load_image(eight).mul(255).round().int().numpy())


def test_white_is_zero_holds_for_pil_images():
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.full((5, 6), 65535, np.uint16), photometric="miniswhite")
    with Image.open(stream) as opened:
        assert load_image(opened).max() == 0
