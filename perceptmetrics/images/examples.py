"""Sample photographs and ways to degrade them, for a first look at what a metric does.

The photographs come with the package scikit-image; nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from perceptmetrics.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEGRADATIONS", "blurred", "compressed", "noisy", "sample_photographs"]

_FILES = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")


def sample_photographs() -> dict[str, Image.Image]:
    """Load the photographs.

    Returns:
        RGB images by name.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError("Scoring the sample photographs", "samples")
    folder = Path(found.submodule_search_locations[0], "data")
    photographs = {}
    for name in _FILES:
        photograph = Image.open(folder / name, formats=("PNG", "JPEG")).convert("RGB")
        photograph.info.pop("icc_profile", None)  # degraded copies lose theirs, and are to differ in nothing else
        photographs[Path(name).stem] = photograph
    return photographs


def blurred(image: Image.Image, radius: float = 3.0) -> Image.Image:
    """Blur with a Gaussian of the given standard deviation in pixels."""
    return image.filter(ImageFilter.GaussianBlur(radius))


def noisy(image: Image.Image, sigma: float = 25.0, seed: int = 0) -> Image.Image:
    """Add Gaussian noise of the given standard deviation on the scale 0..255."""
    values = np.asarray(image, dtype=np.float32)
    noise = np.random.default_rng(seed).normal(0.0, sigma, values.shape)
    return Image.fromarray(np.clip(values + noise, 0, 255).astype(np.uint8))


def compressed(image: Image.Image, quality: int = 8) -> Image.Image:
    """Compress as JPEG of the given quality (1 to 95) and decode again."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return Image.open(buffer, formats=("JPEG",)).convert("RGB")


DEGRADATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "blurred": blurred,
    "noisy": noisy,
    "compressed": compressed,
}
