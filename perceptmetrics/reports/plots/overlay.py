"""Maps over images: their colours, and figures of several."""

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
_UNSEEN = 0.4  # how much of the light remains where a map has no values
_WIDTH, _ROW_TEXT, _TITLE = 2.5, 0.62, 0.4  # inches


@dataclass(frozen=True, kw_only=True)
class ColourScale:
    """What colours mean.

    Attributes:
        lower: Value of the first colour.
        upper: Value of the last one.
        diverging: Whether 0, in the middle, is neutral: blue below, red above. Otherwise bright is much.
        unit: What the values are.
    """

    lower: float
    upper: float
    diverging: bool
    unit: str

    @property
    def colours(self) -> Colormap:
        """Matplotlib's colours."""
        return colormaps["RdBu_r" if self.diverging else "inferno"]

    @property
    def stops(self) -> list[str]:
        """Colours from the lowest to the highest value, for a page."""
        return [to_hex(self.colours(step / (_STOPS - 1))) for step in range(_STOPS)]

    def share(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where values lie between the first colour (0) and the last (1)."""
        width = self.upper - self.lower
        shares: NDArray[np.float64] = np.clip((values - self.lower) / (width or 1.0), 0, 1)
        return shares


@dataclass(frozen=True, kw_only=True)
class OverlayPanel:
    """One picture.

    Attributes:
        pixels: Shape (H, W, 3), uint8, painted already.
        title: What stands above.
        scale: What its colours mean; None for a photograph.
    """

    pixels: NDArray[np.uint8]
    title: str
    scale: ColourScale | None = None


def paint(pixels: NDArray[np.uint8], values: NDArray[np.float64], scale: ColourScale) -> NDArray[np.uint8]:
    """Lay a map over an image in grey.

    Args:
        pixels: Shape (H, W, 3), uint8.
        values: Shape (H, W); NaN where there are none, which becomes dark.
        scale: Its colours.

    Returns:
        Shape (H, W, 3), uint8.
    """
    grey = (pixels @ np.array([0.299, 0.587, 0.114]))[..., None].repeat(3, axis=-1) / 255
    known = np.isfinite(values)
    share = scale.share(np.where(known, values, scale.lower))
    colours = scale.colours(share)[..., :3]
    strength = 0.9 * np.abs(2 * share - 1) if scale.diverging else 0.35 + 0.4 * share
    strength = strength[..., None]
    painted = np.where(known[..., None], (1 - strength) * (0.1 + 0.85 * grey) + strength * colours, _UNSEEN * grey)
    result: NDArray[np.uint8] = (painted * 255).round().astype(np.uint8)
    return result


@styled
def draw_overlays(rows: Sequence[Sequence[OverlayPanel]], title: str) -> Figure:
    """Draw rows of pictures of one image, each with the bar of its colours."""
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
    if panel.scale is None:  # it only takes the place of a bar, so that all pictures of a row lie alike
        bar.ax.tick_params(colors="none", labelcolor="none")
