"""Images to click on: sample photographs and degraded copies, where scikit-image is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.errors import MissingExtraError
from perceptmetrics.images.examples import blurred, compressed, noisy, sample_photographs

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_examples"]

_SIDE = 512


def write_examples(folder: Path) -> list[tuple[Path, str]]:
    """Write the examples into a folder.

    Args:
        folder: An existing folder.

    Returns:
        The files, each with its caption; none when scikit-image is not installed.
    """
    try:
        photographs = sample_photographs()
    except MissingExtraError:
        return []
    cat, coffee = photographs["chelsea"], photographs["coffee"]
    images = {
        "cat": cat,
        "cat, blurred": blurred(cat),
        "coffee": coffee,
        "coffee, noisy": noisy(coffee),
        "coffee, compressed": compressed(coffee),
    }
    written = []
    for caption, image in images.items():
        image.thumbnail((_SIDE, _SIDE))
        path = folder / f"{caption.replace(', ', '-')}.png"
        image.save(path)
        written.append((path, caption))
    return written
