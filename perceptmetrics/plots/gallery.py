"""Images in rows with a line of text under each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perceptmetrics.plots.style import PALETTE, caption, new_figure, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure, SubFigure

__all__ = ["GalleryImage", "draw_gallery"]

_CELL = 1.35  # inches


@dataclass(frozen=True, kw_only=True)
class GalleryImage:
    """One picture.

    Attributes:
        pixels: Shape (H, W, 3), uint8.
        text: First line under it.
        name: Second line.
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
        columns: Images in a row.

    Returns:
        The figure.
    """
    sections = [(heading, images) for heading, images in sections if images]
    columns = min(columns, max(len(images) for _, images in sections))
    rows = [math.ceil(len(images) / columns) for _, images in sections]
    figure = new_figure(max(4.5, _CELL * columns), 0.4 + sum(0.3 + (_CELL + 0.15) * count for count in rows))
    figure.suptitle(caption(title, 90), fontsize=11)
    parts = figure.subfigures(len(sections), 1, squeeze=False, height_ratios=[0.3 + count for count in rows])
    for place, ((heading, images), part) in enumerate(zip(sections, parts[:, 0], strict=True)):
        _draw_section(part, heading, images, columns, PALETTE[place % len(PALETTE)])
    return figure


def _draw_section(part: SubFigure, heading: str, images: Sequence[GalleryImage], columns: int, colour: str) -> None:
    part.suptitle(heading, fontsize=10, color=colour, fontweight="bold", x=0.01, ha="left")
    grid = part.subplots(math.ceil(len(images) / columns), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image in zip(grid.flat, images, strict=False):
        axes.imshow(image.pixels, interpolation="antialiased")
        axes.set_title(f"{image.text}\n{caption(image.name, 20)}", fontsize=7, y=0, va="top", pad=-3, linespacing=1.3)
        axes.set_anchor("S")
