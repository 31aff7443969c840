"""Ladders of synthetic degradations: one photograph at five growing strengths of blur, noise, JPEG and so on.

Images are float32 arrays (H, W, 3) in [0, 1].
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from collections.abc import Sequence

Pixels = NDArray[np.float32]

KINDS = ("blur", "noise", "jpeg", "scale", "over", "under")
STRENGTHS = 5

# Ranges from which the weakest and the strongest strength of a random ladder are drawn: standard deviation in pixels;
# standard deviation; 100 - quality; down-scaling factor; stops.
_RANGES = {
    "blur": ((0.5, 1.2), (2.5, 7.0)),
    "noise": ((0.01, 0.03), (0.08, 0.25)),
    "jpeg": ((8.0, 30.0), (85.0, 95.0)),
    "scale": ((1 / 0.85, 1 / 0.6), (1 / 0.35, 1 / 0.11)),
    "over": ((0.25, 0.6), (1.4, 2.6)),
    "under": ((0.25, 0.6), (1.4, 2.6)),
}
_GEOMETRIC = ("blur", "noise", "scale")
_FILTERS = {
    "area": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How degradations of one ladder are carried out, apart from their strength."""

    new_noise_each_step: bool
    grey_noise: bool
    chroma_subsampling: int  # Pillow's: 0 is 4:4:4, 2 is 4:2:0
    shrink_with: str
    enlarge_with: str
    linear_light: bool
    eight_bit: bool


def random_manner(rng: np.random.Generator) -> Manner:
    """Draw a manner."""
    return Manner(
        shrink_with=str(rng.choice(list(_FILTERS))),
        enlarge_with=str(rng.choice(["bilinear", "bicubic", "lanczos"])),
        new_noise_each_step=bool(rng.random() < 0.6),
        grey_noise=bool(rng.random() < 0.15),
        chroma_subsampling=int(rng.choice([0, 2], p=[0.3, 0.7])),
        linear_light=bool(rng.random() < 0.5),
        eight_bit=bool(rng.random() < 0.5),
    )


def random_strengths(kind: str, rng: np.random.Generator) -> list[float]:
    """Draw five growing strengths, about evenly spaced (geometrically for blur, noise and scale)."""
    weak, strong = (rng.uniform(*bounds) for bounds in _RANGES[kind])
    steps = np.linspace(0, 1, STRENGTHS)
    steps[1:-1] += rng.uniform(-0.07, 0.07, STRENGTHS - 2)
    strengths = weak * (strong / weak) ** steps if kind in _GEOMETRIC else weak + (strong - weak) * steps
    if kind == "jpeg":
        strengths = 100 - strengths.round()
    if kind == "scale":
        strengths = 1 / strengths
    return [float(strength) for strength in strengths]


def ladder(
    image: Pixels, kind: str, strengths: Sequence[float], manner: Manner, rng: np.random.Generator
) -> list[Pixels]:
    """Degrade an image at each strength.

    Args:
        image: The untouched image.
        kind: One of `KINDS`.
        strengths: Standard deviation of the blur in pixels; of the noise; JPEG quality; scale factor; or stops.
        manner: How.
        rng: Source of the noise.

    Returns:
        One image per strength.
    """
    shape = (*image.shape[:2], 1 if manner.grey_noise else 3)
    noise = rng.standard_normal(shape, dtype=np.float32)
    steps = []
    for strength in strengths:
        if kind == "noise" and manner.new_noise_each_step:
            noise = rng.standard_normal(shape, dtype=np.float32)
        degraded = np.clip(_degrade(image, kind, strength, manner, noise), 0, 1)
        if manner.eight_bit:
            degraded = np.round(degraded * 255) / 255
        steps.append(degraded.astype(np.float32))
    return steps


def _degrade(image: Pixels, kind: str, strength: float, manner: Manner, noise: Pixels) -> Pixels:
    if kind == "blur":
        return gaussian_filter(image, (strength, strength, 0), mode="nearest", truncate=3.5)
    if kind == "noise":
        return image + np.float32(strength) * noise
    if kind == "jpeg":
        return _jpeg(image, round(strength), manner.chroma_subsampling)
    if kind == "scale":
        height, width = image.shape[:2]
        small = (max(1, round(height * strength)), max(1, round(width * strength)))
        return resize(resize(image, small, manner.shrink_with), (height, width), manner.enlarge_with)
    gain = 2.0 ** (strength if kind == "over" else -strength)
    return _to_srgb(_to_linear(image) * gain) if manner.linear_light else image * gain


def resize(image: Pixels, size: tuple[int, int], method: str = "bicubic") -> Pixels:
    """Resize to (height, width) in float precision."""
    channels = [Image.fromarray(image[..., channel]) for channel in range(3)]
    return np.stack([np.asarray(channel.resize(size[::-1], _FILTERS[method])) for channel in channels], axis=-1)


def _jpeg(image: Pixels, quality: int, subsampling: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(np.round(image * 255).astype(np.uint8)).save(
        buffer, "JPEG", quality=quality, subsampling=subsampling
    )
    return np.asarray(Image.open(buffer).convert("RGB"), dtype=np.float32) / 255


def _to_linear(image: Pixels) -> Pixels:
    return np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)


def _to_srgb(image: Pixels) -> Pixels:
    return np.where(image <= 0.0031308, image * 12.92, 1.055 * np.maximum(image, 0.0031308) ** (1 / 2.4) - 0.055)
