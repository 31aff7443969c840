"""Maps painted over images, and figures of several such overlays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex
from numpy.typing import NDArray

from perceptmetrics.reports.plots.style import caption, new_figure, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

__all__ = ["ColourScale", "OverlayPanel", "draw_overlays", "paint"]

_STOPS = 9
_UNSEEN = 0.4  # brightness where a map has no values
_WIDTH, _ROW_TEXT, _TITLE = 2.5, 0.62, 0.4  # inches


@dataclass(frozen=True, kw_only=True)
class ColourScale:
    """The colour scale of a map.

    Attributes:
        lower: Value of the first colour.
        upper: Value of the last colour.
        diverging: Whether 0, in the middle, is neutral, with blue below and red above. Otherwise brighter is more.
        unit: Unit of the values.
    """

    lower: float
    upper: float
    diverging: bool
    unit: str

    @property
    def colours(self) -> Colormap:
        """The colour map of Matplotlib."""
        return colormaps["RdBu_r" if self.diverging else "inferno"]

    @property
    def stops(self) -> list[str]:
        """Colours from the lowest to the highest value, for a CSS gradient."""
        return [to_hex(self.colours(step / (_STOPS - 1))) for step in range(_STOPS)]

    def fraction(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Position of values between the first colour (0) and the last (1)."""
        width = self.upper - self.lower
        fractions: NDArray[np.float64] = np.clip((values - self.lower) / (width or 1.0), 0, 1)
        return fractions


@dataclass(frozen=True, kw_only=True)
class OverlayPanel:
    """One image of a figure.

    Attributes:
        pixels: Shape (H, W, 3), uint8, with the map already painted.
        title: Title of the panel.
        scale: Colour scale of the map; None for a photograph.
    """

    pixels: NDArray[np.uint8]
    title: str
    scale: ColourScale | None = None


def paint(pixels: NDArray[np.uint8], values: NDArray[np.float64], scale: ColourScale) -> NDArray[np.uint8]:
    """Paint a map over an image in grey.

    Args:
        pixels: Shape (H, W, 3), uint8.
        values: Shape (H, W); NaN where the map has no value, which is drawn dark.
        scale: Colour scale of the map.

    Returns:
        Shape (H, W, 3), uint8.
    """
    grey = (pixels @ np.array([0.299, 0.587, 0.114]))[..., None].repeat(3, axis=-1) / 255
    known = np.isfinite(values)
    fraction = scale.fraction(np.where(known, values, scale.lower))
    colours = scale.colours(fraction)[..., :3]
    strength = 0.9 * np.abs(2 * fraction - 1) if scale.diverging else 0.35 + 0.4 * fraction
    strength = strength[..., None]
    painted = np.where(known[..., None], (1 - strength) * (0.1 + 0.85 * grey) + strength * colours, _UNSEEN * grey)
    result: NDArray[np.uint8] = (painted * 255).round().astype(np.uint8)
    return result


@styled
def draw_overlays(rows: Sequence[Sequence[OverlayPanel]], title: str) -> Figure:
    """Draw rows of overlays of one image, each with its colour bar."""
    columns = max(len(row) for row in rows)
    height, width = rows[0][0].pixels.shape[:2]
    panel_height = _WIDTH * min(1.5, height / width)
    figure = new_figure(_WIDTH * columns, (panel_height + _ROW_TEXT) * len(rows) + _TITLE)
    figure.suptitle(caption(title, 30 * columns), fontsize=10)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(grid, rows, strict=True):
        for axes in line[len(row) :]:
            axes.set_visible(False)
        for axes, panel in zip(line, row, strict=False):
            _draw_panel(axes, panel)
    return figure


def _draw_panel(axes: Axes, panel: OverlayPanel) -> None:
    axes.imshow(panel.pixels, interpolation="antialiased")
    axes.set_axis_off()
    axes.set_title(caption(panel.title, 44), fontsize=8)
    scale = panel.scale or ColourScale(lower=0, upper=1, diverging=False, unit=" ")
    mappable = ScalarMappable(Normalize(scale.lower, scale.upper), scale.colours)
    alpha = 0 if panel.scale is None else None
    bar = axes.figure.colorbar(
        mappable, ax=axes, orientation="horizontal", fraction=0.06, pad=0.03, aspect=30, alpha=alpha
    )
    bar.set_ticks([scale.lower, (scale.lower + scale.upper) / 2, scale.upper])
    bar.ax.set_xticklabels([f"{tick:.2g}" for tick in bar.get_ticks()], fontsize=6.5)
    bar.set_label(scale.unit, fontsize=6.5, labelpad=1)
    bar.outline.set_visible(False)
    if panel.scale is None:  # an invisible bar keeps the images of a row aligned
        bar.ax.tick_params(colors="none", labelcolor="none")
