"""Breakages of photographs: what faults of programs that make, move and store images leave of them.

Each breakage takes an image (H, W, 3) in uint8, a generator of random numbers and a strength in [0, 1]: 0 is hardest to
see. Those of `TRAINING` teach the tripwire, with strengths drawn from [0.25, 0.75]; it is tested with the same ones at
strengths from all of [0, 1], and with those of `LEFT_OUT`, which it was never taught.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFile

Breakage = Callable[[np.ndarray, np.random.Generator, float], np.ndarray]

__all__ = ["LEFT_OUT", "TRAINING", "Breakage", "strength_of"]


def strength_of(rng: np.random.Generator, *, training: bool) -> float:
    return float(rng.uniform(0.25, 0.75) if training else rng.uniform(0.0, 1.0))


def _clip(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _between(low: float, high: float, part: float) -> float:
    """From `low` at 0 to `high` at 1, in equal ratios."""
    return low * (high / low) ** part


def uniform_noise(image, rng, strength):
    noise = rng.integers(0, 256, image.shape, dtype=np.uint8)
    return noise if rng.random() < 0.7 else np.repeat(noise[..., :1], 3, 2)


def gaussian_noise(image, rng, strength):
    return _clip(rng.normal(rng.uniform(90, 160), _between(20, 90, strength), image.shape))


def blurred_noise(image, rng, strength):
    """Noise at a lower resolution, as from a decoder that was fed noise."""
    factor = int(rng.integers(2, 9))
    small = rng.normal(128, 60, (image.shape[0] // factor + 1, image.shape[1] // factor + 1, 3))
    big = Image.fromarray(_clip(small)).resize((image.shape[1], image.shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(big)


def noise_over(image, rng, strength):
    return _clip(image + rng.normal(0, _between(45, 130, strength), image.shape))


def salt_and_pepper(image, rng, strength):
    mask = rng.random(image.shape[:2]) < _between(0.05, 0.5, strength)
    return np.where(mask[..., None], rng.integers(0, 2, image.shape[:2], dtype=np.uint8)[..., None] * 255, image)


def blocks(image, rng, strength):
    size = int(_between(8, 96, strength))
    rows, columns = image.shape[0] // size + 1, image.shape[1] // size + 1
    colours = rng.integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    return np.kron(colours, np.ones((size, size, 1), dtype=np.uint8))[: image.shape[0], : image.shape[1]]


def mosaic(image, rng, strength):
    size = int(_between(10, 48, strength))
    small = Image.fromarray(image).resize((max(1, image.shape[1] // size), max(1, image.shape[0] // size)))
    return np.asarray(small.resize((image.shape[1], image.shape[0]), Image.Resampling.NEAREST))


def _checks(shape, size):
    rows, columns = np.arange(shape[0]) // size, np.arange(shape[1]) // size
    return ((rows[:, None] + columns) % 2)[..., None]


def checkerboard(image, rng, strength):
    low, high = rng.integers(0, 100, 3), rng.integers(150, 256, 3)
    size = int(2 ** rng.integers(0, 7))
    return np.where(_checks(image.shape, size), low, high).astype(np.uint8)


def checkerboard_over(image, rng, strength):
    """The artefact of transposed convolutions."""
    size = int(2 ** rng.integers(0, 4))
    return _clip(image + (2.0 * _checks(image.shape, size) - 1) * _between(10, 60, strength))


def constant(image, rng, strength):
    colours = {0: (0, 0, 0), 1: (255, 255, 255), 2: (128, 128, 128), 3: tuple(rng.integers(0, 256, 3))}
    flat = np.broadcast_to(np.array(colours[int(rng.integers(0, 4))]), image.shape).astype(np.float64)
    return _clip(flat + rng.integers(-1, 2, image.shape) * (rng.random() < 0.3))


def lost_part(image, rng, strength):
    broken = image.copy()
    axis, share = int(rng.integers(0, 2)), _between(0.2, 0.75, strength)
    lost = int(image.shape[axis] * share)
    colour = int(rng.choice([0, 0, 128, 255]))
    view = np.moveaxis(broken, axis, 0)
    if rng.random() < 0.7:
        view[len(view) - lost :] = colour
    else:
        view[:lost] = colour
    return broken


def smeared(image, rng, strength):
    """The last good line repeated to the end."""
    broken = image.copy()
    view = np.moveaxis(broken, int(rng.integers(0, 2)), 0)
    start = len(view) - int(len(view) * _between(0.2, 0.75, strength))
    view[start:] = view[start - 1]
    return broken


def posterised(image, rng, strength):
    levels = round(_between(9, 2.6, strength))
    return _clip(np.floor(image / 256 * levels) * 255 / (levels - 1))


def stripes(image, rng, strength):
    period = _between(4, 48, float(rng.random()))
    wave = np.sign(np.sin(2 * np.pi * np.arange(image.shape[0]) / period + rng.uniform(0, 6)))
    return _clip(image + wave[:, None, None] * _between(12, 70, strength))


def stripes_across(image, rng, strength):
    return stripes(image.transpose(1, 0, 2), rng, strength).transpose(1, 0, 2)


def smooth_stripes(image, rng, strength):
    period = _between(6, 64, float(rng.random()))
    wave = np.sin(2 * np.pi * np.arange(image.shape[0]) / period)
    return _clip(image + wave[:, None, None] * _between(15, 70, strength))


def _grid(image, rng):
    size = int(rng.choice([32, 48, 64, 96, 128]))
    rows, columns = np.arange(image.shape[0]) // size, np.arange(image.shape[1]) // size
    return rows, columns


def tiles_of_other_brightness(image, rng, strength):
    rows, columns = _grid(image, rng)
    offsets = rng.normal(0, _between(6, 35, strength), (rows.max() + 1, columns.max() + 1))
    return _clip(image + offsets[rows][:, columns][..., None])


def shifted_tiles(image, rng, strength):
    rows, columns = _grid(image, rng)
    reach = int(_between(4, 28, strength))
    shift = rng.integers(-reach, reach + 1, (2, rows.max() + 1, columns.max() + 1))
    down = np.clip(np.arange(image.shape[0])[:, None] + shift[0][rows][:, columns], 0, image.shape[0] - 1)
    across = np.clip(np.arange(image.shape[1])[None] + shift[1][rows][:, columns], 0, image.shape[1] - 1)
    return image[down, across]


def shuffled_tiles(image, rng, strength):
    count = int(rng.integers(2, 6))
    rows, columns = image.shape[0] // count, image.shape[1] // count
    tiles = [
        image[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns] for i in range(count) for j in range(count)
    ]
    order = rng.permutation(len(tiles))
    return np.vstack([np.hstack([tiles[order[i * count + j]] for j in range(count)]) for i in range(count)])


def extreme_contrast(image, rng, strength):
    centre = float(np.median(image)) * 0.5 + 64
    return _clip((image - centre) * _between(4, 20, strength) + 128)


def thresholded(image, rng, strength):
    grey = image.mean(2, keepdims=True)
    return np.repeat(np.where(grey > np.median(grey), 255, 0), 3, 2).astype(np.uint8)


def washed_out(image, rng, strength):
    return _clip(rng.uniform(90, 200) + (image - image.mean()) * _between(0.22, 0.05, strength))


def veiled(image, rng, strength):
    return _clip(255 - (255.0 - image) * _between(0.3, 0.06, strength))


def swapped_channels(image, rng, strength):
    return image[..., ::-1]


def rotated_channels(image, rng, strength):
    return image[..., [1, 2, 0] if rng.random() < 0.5 else [2, 0, 1]]


def lost_channel(image, rng, strength):
    broken = image.copy()
    broken[..., int(rng.integers(0, 3))] = int(rng.choice([0, 0, 255]))
    return broken


def bytes_as_units(image, rng, strength):
    """0..255 taken for 0..1: everything above 1 is clipped."""
    return np.where(image >= 1, 255, 0).astype(np.uint8)


def units_as_bytes(image, rng, strength):
    """0..1 taken for 0..255, or divided by 255 twice."""
    return (image / 255).astype(np.uint8) if rng.random() < 0.5 else np.rint(image / 255).astype(np.uint8)


def wrapped(image, rng, strength):
    """Values above 255 begin again at 0."""
    return ((image.astype(np.float64) * _between(1.4, 3, strength)).astype(np.int64) % 256).astype(np.uint8)


def negative_lost(image, rng, strength):
    """-1..1 clipped to 0..1."""
    return _clip(image * 2.0 - 255)


def scaled_twice(image, rng, strength):
    """(x + 1) / 2 for what was 0..1 already."""
    return _clip(image / 2 + 127.5)


def normalised(image, rng, strength):
    """Mean and standard deviation of ImageNet never undone."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return _clip((image / 255 - mean) / std * 255)


def inverted(image, rng, strength):
    return 255 - image


def gamma_twice(image, rng, strength):
    power = 2.2 if rng.random() < 0.5 else 1 / 2.2
    return _clip(255 * (image / 255) ** power)


def repeated_tiles(image, rng, strength):
    count = int(rng.integers(2, 5))
    tile = image[: image.shape[0] // count, : image.shape[1] // count]
    if rng.random() < 0.5:
        tile = np.asarray(Image.fromarray(image).resize((image.shape[1] // count, image.shape[0] // count)))
    return np.tile(tile, (count, count, 1))


def repeated_halves(image, rng, strength):
    axis = int(rng.integers(0, 2))
    half = np.take(image, np.arange(image.shape[axis] // 2), axis)
    return np.concatenate([half, half], axis)


def many_tiles(image, rng, strength):
    rows, columns = int(rng.integers(5, 9)), int(rng.integers(5, 9))
    tile = image[: image.shape[0] // rows, : image.shape[1] // columns]
    return np.tile(tile, (rows, columns, 1))


def damaged_jpeg(image, rng, strength):
    """Bytes of the file were changed; what a forgiving decoder makes of it, where that is visible."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=85)
    ImageFile.LOAD_TRUNCATED_IMAGES, before = True, ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        for _ in range(6):
            content = bytearray(buffer.getvalue())
            start = content.index(b"\xff\xda") + 14
            for index in rng.integers(start, start + (len(content) - start) // 2, int(_between(2, 30, strength))):
                content[index] = int(rng.integers(0, 255))
            try:
                broken = np.asarray(Image.open(io.BytesIO(bytes(content))).convert("RGB"))
            except (OSError, SyntaxError, ValueError):
                continue
            if np.abs(broken.astype(np.float64) - image).mean() > 15:
                return broken
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before
    return lost_macroblocks(image, rng, strength)


def starved_codec(image, rng, strength):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=round(_between(5.4, 1, strength)))
    return np.asarray(Image.open(buffer).convert("RGB"))


def starved_webp(image, rng, strength):
    small = Image.fromarray(image).resize((image.shape[1] // 3, image.shape[0] // 3))
    buffer = io.BytesIO()
    small.save(buffer, format="WEBP", quality=0)
    return np.asarray(Image.open(buffer).convert("RGB").resize((image.shape[1], image.shape[0])))


def lost_macroblocks(image, rng, strength):
    broken = image.copy()
    for _ in range(int(_between(8, 150, strength))):
        top, left = (int(rng.integers(0, length // 16)) * 16 for length in image.shape[:2])
        right = left + 16 * int(rng.integers(1, 12))
        source = int(rng.integers(0, image.shape[0] // 16)) * 16
        kind = rng.integers(0, 3)
        cell = broken[top : top + 16, left:right]
        other = image[source : source + 16, left:right]
        cell[...] = 128 if kind == 0 else other if kind == 1 and other.shape == cell.shape else rng.integers(0, 256, 3)
    return broken


def lost_sync(image, rng, strength):
    """Every band of lines is shifted against the one before."""
    broken, at = image.copy(), int(image.shape[0] * rng.uniform(0.1, 0.5))
    while at < len(broken):
        height = 8 * int(rng.integers(1, 5))
        broken[at : at + height] = np.roll(broken[at : at + height], int(rng.integers(16, image.shape[1] - 16)), 1)
        at += height
    return broken


def wrong_stride(image, rng, strength):
    """Rows read with another width than they were written with."""
    flat = image.reshape(-1, 3)
    width = image.shape[1] + int(rng.choice([-1, 1])) * int(rng.integers(1, 24))
    rows = len(flat) // width
    return flat[: rows * width].reshape(rows, width, 3)


def planes_as_pixels(image, rng, strength):
    """(3, H, W) read as (H, W, 3)."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)).reshape(image.shape)


def pixels_as_planes(image, rng, strength):
    """(H, W, 3) read as (3, H, W)."""
    return np.ascontiguousarray(image.reshape(3, *image.shape[:2]).transpose(1, 2, 0))


TRAINING: dict[str, tuple[str, Breakage]] = {
    function.__name__: (kind, function)
    for kind, functions in {
        "noise": (uniform_noise, gaussian_noise, noise_over),
        "blocks": (blocks, mosaic),
        "checkerboard": (checkerboard, checkerboard_over),
        "constant": (constant,),
        "lost_part": (lost_part, smeared),
        "banding": (posterised, stripes, stripes_across),
        "seams": (tiles_of_other_brightness, shifted_tiles),
        "contrast": (extreme_contrast,),
        "washed_out": (washed_out, veiled),
        "channels": (swapped_channels, lost_channel),
        "value_range": (bytes_as_units, units_as_bytes, wrapped, negative_lost, scaled_twice, inverted),
        "gamma": (gamma_twice,),
        "repeated": (repeated_tiles,),
        "codec": (damaged_jpeg, starved_codec, lost_macroblocks),
        "layout": (wrong_stride, planes_as_pixels),
    }.items()
    for function in functions
}
"""Kind and breakage by name."""

LEFT_OUT: dict[str, tuple[str, Breakage]] = {
    function.__name__: (kind, function)
    for kind, functions in {
        "noise": (blurred_noise, salt_and_pepper),
        "banding": (smooth_stripes,),
        "seams": (shuffled_tiles,),
        "contrast": (thresholded,),
        "channels": (rotated_channels,),
        "value_range": (normalised,),
        "repeated": (repeated_halves, many_tiles),
        "codec": (starved_webp, lost_sync),
        "layout": (pixels_as_planes,),
    }.items()
    for function in functions
}
"""Breakages that are only tested."""
