"""Degrade photographs in eight ways, and build ladders: five increasing strengths of one degradation.

Pixels are float32 arrays (H, W, 3) in [0, 1].
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

__all__ = [
    "ALL_KINDS",
    "KINDS",
    "STRENGTHS",
    "Degradation",
    "Manner",
    "Pixels",
    "degrade",
    "draw_ladder",
    "fixed_ladder",
    "resize",
]

Pixels = NDArray[np.float32]

KINDS = ("blur", "noise", "jpeg", "scale", "over", "under")
"""Degradations that always cost quality."""
ALL_KINDS = (*KINDS, "contrast", "colour")
"""Also those that change the look; seeds depend on the order."""
STRENGTHS = 5

# Ranges from which the weakest and the strongest step of a random ladder are drawn: standard deviation in pixels;
# standard deviation; 100 - quality; down-scaling factor; stops; fraction of contrast or colour that is taken away.
_RANGES = {
    "blur": ((0.5, 1.2), (2.5, 7.0)),
    "noise": ((0.01, 0.03), (0.08, 0.25)),
    "jpeg": ((8.0, 30.0), (85.0, 95.0)),
    "scale": ((1 / 0.85, 1 / 0.6), (1 / 0.35, 1 / 0.11)),
    "over": ((0.25, 0.6), (1.4, 2.6)),
    "under": ((0.25, 0.6), (1.4, 2.6)),
    "contrast": ((0.1, 0.3), (0.65, 0.9)),
    "colour": ((0.1, 0.3), (0.75, 1.0)),
}
_GEOMETRIC = ("blur", "noise", "scale")
_FILTERS = {
    "area": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Manner:
    """Parameters of a degradation other than its strength.

    Attributes:
        fresh_noise: Whether each step of a ladder has new noise; otherwise the same noise is scaled up.
        grey_noise: Whether the three channels have the same noise.
        chroma_subsampling: Chroma subsampling of JPEG in Pillow's convention: 0 is 4:4:4, 2 is 4:2:0.
        shrink_with: Filter for scaling down.
        enlarge_with: Filter for scaling back up.
        linear_light: Whether exposure scales linear light or the encoded values.
    """

    fresh_noise: bool = True
    grey_noise: bool = False
    chroma_subsampling: int = 0
    shrink_with: str = "area"
    enlarge_with: str = "bilinear"
    linear_light: bool = False


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """A degradation of a photograph.

    Attributes:
        kind: One of `ALL_KINDS`.
        strength: Standard deviation of the blur (pixels) or noise, JPEG quality, scale factor, stops, or the fraction
            of contrast or colour that is taken away.
        manner: Its other parameters.
        noise: Seed of the noise; empty for other kinds.
    """

    kind: str
    strength: float
    manner: Manner
    noise: tuple[int, ...]


def draw_ladder(kind: str, seed: tuple[int, ...]) -> list[Degradation]:
    """Draw a manner and increasing strengths, about evenly spaced (geometrically for blur, noise and scale)."""
    rng = np.random.default_rng(seed)
    weak, strong = (rng.uniform(*bounds) for bounds in _RANGES[kind])
    steps = np.linspace(0, 1, STRENGTHS)
    steps[1:-1] += rng.uniform(-0.07, 0.07, STRENGTHS - 2)
    strengths = weak * (strong / weak) ** steps if kind in _GEOMETRIC else weak + (strong - weak) * steps
    if kind == "jpeg":
        strengths = 100 - strengths.round()
    if kind == "scale":
        strengths = 1 / strengths
    manner = Manner(
        fresh_noise=bool(rng.random() < 0.6),
        grey_noise=bool(rng.random() < 0.15),
        chroma_subsampling=int(rng.choice([0, 2], p=[0.3, 0.7])),
        shrink_with=str(rng.choice(list(_FILTERS))),
        enlarge_with=str(rng.choice(["bilinear", "bicubic", "lanczos"])),
        linear_light=bool(rng.random() < 0.5),
    )
    return fixed_ladder(kind, strengths.tolist(), manner, seed)


def fixed_ladder(kind: str, strengths: Sequence[float], manner: Manner, seed: tuple[int, ...]) -> list[Degradation]:
    """Build one degradation per strength."""

    def noise(step: int) -> tuple[int, ...]:
        return (*seed, step if manner.fresh_noise else 0) if kind == "noise" else ()

    return [
        Degradation(kind=kind, strength=strength, manner=manner, noise=noise(step))
        for step, strength in enumerate(strengths)
    ]


def degrade(image: Pixels, degradation: Degradation) -> Pixels:
    """Degrade an image.

    Args:
        image: Shape (H, W, 3).
        degradation: The degradation.

    Returns:
        Same shape, in [0, 1].
    """
    kind, strength, manner = degradation.kind, degradation.strength, degradation.manner
    height, width = image.shape[:2]
    degraded: NDArray[np.floating]
    if kind == "blur":
        degraded = gaussian_filter(image, (strength, strength, 0), mode="nearest", truncate=3.5)
    elif kind == "noise":
        rng = np.random.default_rng(degradation.noise)
        shape = (height, width, 1 if manner.grey_noise else 3)
        degraded = image + np.float32(strength) * rng.standard_normal(shape, dtype=np.float32)
    elif kind == "jpeg":
        degraded = _jpeg(image, round(strength), manner.chroma_subsampling)
    elif kind == "scale":
        small = (max(1, round(height * strength)), max(1, round(width * strength)))
        degraded = resize(resize(image, small, manner.shrink_with), (height, width), manner.enlarge_with)
    elif kind == "contrast":
        degraded = image + np.float32(strength) * ((image @ _LUMA).mean() - image)
    elif kind == "colour":
        degraded = image + np.float32(strength) * ((image @ _LUMA)[..., None] - image)
    else:
        gain = 2.0 ** (strength if kind == "over" else -strength)
        degraded = _to_srgb(_to_linear(image) * gain) if manner.linear_light else image * gain
    return np.clip(degraded, 0, 1).astype(np.float32)


def resize(image: Pixels, size: tuple[int, int], method: str = "bicubic") -> Pixels:
    """Resize an image to (height, width) in floating point."""
    channels = [Image.fromarray(image[..., channel]) for channel in range(3)]
    return np.stack([np.asarray(channel.resize(size[::-1], _FILTERS[method])) for channel in channels], axis=-1)


def _jpeg(image: Pixels, quality: int, subsampling: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(np.round(image * 255).astype(np.uint8)).save(
        buffer, "JPEG", quality=quality, subsampling=subsampling
    )
    opened = Image.open(buffer, formats=("JPEG",)).convert("RGB")
    decoded: Pixels = np.asarray(opened, dtype=np.float32) / np.float32(255)
    return decoded


def _to_linear(image: Pixels) -> NDArray[np.floating]:
    light: NDArray[np.floating] = np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
    return light


def _to_srgb(light: NDArray[np.floating]) -> NDArray[np.floating]:
    encoded: NDArray[np.floating] = np.where(
        light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    )
    return encoded
