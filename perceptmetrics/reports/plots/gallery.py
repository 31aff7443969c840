"""A gallery: images in rows, each with a line of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perceptmetrics.reports.plots.style import PALETTE, caption, new_figure, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

__all__ = ["GalleryImage", "draw_gallery"]

_WIDTH, _GAP, _TEXT, _HEADING, _TITLE = 1.35, 0.12, 0.42, 0.36, 0.5  # inches
_TALLEST = 1.25  # height over width; taller images are drawn narrower


@dataclass(frozen=True, kw_only=True)
class GalleryImage:
    """One image of a gallery.

    Attributes:
        pixels: Shape (H, W, 3), uint8.
        text: First line below it.
        name: Second line below it.
    """

    pixels: NDArray[np.uint8]
    text: str
    name: str


@styled
def draw_gallery(sections: Sequence[tuple[str, Sequence[GalleryImage]]], title: str, columns: int = 6) -> Figure:
    """Draw sections of images, each under its heading.

    Args:
        sections: Heading and images, in order; empty sections are left out.
        title: Title of the figure.
        columns: Largest number of images in a row.

    Returns:
        The figure.
    """
    sections = [(heading, images) for heading, images in sections if images]
    columns = min(columns, max(len(images) for _, images in sections))
    rows = [[images[start : start + columns] for start in range(0, len(images), columns)] for _, images in sections]
    width = max(4.0, columns * (_WIDTH + _GAP) + _GAP)
    height = _TITLE + sum(_HEADING + sum(_height(row) + _TEXT for row in section) for section in rows)
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    figure.text(0.5, 1 - 0.1 / height, caption(title, 80), fontsize=11, ha="center", va="top")
    top = height - _TITLE
    for number, ((heading, _), section) in enumerate(zip(sections, rows, strict=True)):
        colour = PALETTE[number % len(PALETTE)]
        figure.text(_GAP / width, (top - 0.06) / height, heading, fontsize=10, color=colour, weight="bold", va="top")
        top -= _HEADING
        for row in section:
            top -= _height(row)
            _draw_row(figure, row, top)
            top -= _TEXT
    return figure


def _height(row: Sequence[GalleryImage]) -> float:
    """Height of a row of images in inches."""
    tallest: float = max(image.pixels.shape[0] / image.pixels.shape[1] for image in row)
    return _WIDTH * min(_TALLEST, tallest)


def _draw_row(figure: Figure, row: Sequence[GalleryImage], bottom: float) -> None:
    width, height = figure.get_size_inches()
    for column, image in enumerate(row):
        left = _GAP + column * (_WIDTH + _GAP)
        axes = figure.add_axes((left / width, bottom / height, _WIDTH / width, _height(row) / height))
        axes.set_axis_off()
        axes.imshow(image.pixels, interpolation="antialiased")
        axes.set_anchor("S")
        text = f"{image.text}\n{caption(image.name, 20)}"
        figure.text((left + _WIDTH / 2) / width, (bottom - 0.05) / height, text, fontsize=7, ha="center", va="top")
