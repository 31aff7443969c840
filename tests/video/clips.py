"""Small videos that are encoded here, so that each pixel and each time stamp is known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

UNITS = Fraction(1, 1000)


def noise(count, height=48, width=64, seed=0):
    """Frames of smooth colours with grain: (T, H, W, 3) uint8."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (count, 6, 8, 3))
    fine = coarse.repeat(height // 6, axis=1).repeat(width // 8, axis=2)
    return np.clip(fine + generator.integers(-8, 9, fine.shape), 0, 255).astype(np.uint8)


def write(
    path, frames, *, times=None, fps=10, codec="ffv1", pixel_format="bgr0", colour=None, options=None, aspect=None
):
    """Encode frames: RGB, or, when `colour` states matrix and range, planes (3, H, W) of that pixel format."""
    times = [number / fps for number in range(len(frames))] if times is None else times
    planar = colour is not None
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.height, stream.width = frames[0].shape[1:] if planar else frames[0].shape[:2]
        stream.pix_fmt = pixel_format
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        stream.time_base = stream.codec_context.time_base = UNITS
        if planar:
            stream.codec_context.colorspace, stream.codec_context.color_range = colour
        for frame, time in zip(frames, times, strict=True):
            picture = av.VideoFrame.from_ndarray(frame, format=pixel_format if planar else "rgb24")
            if planar:
                picture.colorspace, picture.color_range = colour
            picture.pts, picture.time_base = round(time / UNITS), UNITS
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return Path(path)


def turn(path, matrix):
    """Write a display matrix (a, b, c, d of ISO/IEC 14496-12, 6.2.2) into the track header of an MP4."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 4 + 20 + 8 + 8  # version and flags, times and track, reserved, layer to volume
    a, b, c, d = (round(value * 65536) for value in matrix)
    values = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    content[start : start + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(content)


def to_yuv(rgb, red, blue, *, full):
    """The definition of BT.601 and BT.709, in float64: (H, W, 3) in 0..255 to planes (3, H, W) uint8."""
    r, g, b = (rgb[..., channel] / 255 for channel in range(3))
    luma = red * r + (1 - red - blue) * g + blue * b
    chroma_blue, chroma_red = (b - luma) / (2 - 2 * blue), (r - luma) / (2 - 2 * red)
    if full:
        planes = [255 * luma, 128 + 255 * chroma_blue, 128 + 255 * chroma_red]
    else:
        planes = [16 + 219 * luma, 128 + 224 * chroma_blue, 128 + 224 * chroma_red]
    return np.clip(np.round(np.stack(planes)), 0, 255).astype(np.uint8)
