"""A value for each attention head, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle

from perceptmetrics.reports.plots.style import caption, new_figure, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["draw_heads"]

_CELL = 0.24  # inches


@styled
def draw_heads(
    values: NDArray[np.float64], *, marked: Sequence[tuple[int, int]] = (), title: str, value_name: str
) -> Figure:
    """Draw a cell for each head; the layers go upwards.

    Args:
        values: Shape (L, H), not negative; NaN for heads that were left out, which are grey.
        marked: Layer and number of heads that get a frame.
        title: Title.
        value_name: What the values are.

    Returns:
        The figure.
    """
    layers, heads = values.shape
    figure = new_figure(max(4.2, 1.9 + _CELL * heads), max(1.9, 1.1 + _CELL * layers))
    axes = figure.add_subplot()
    axes.set_facecolor("#D1D5DB")
    largest = float(np.nanmax(values)) or 1.0
    shown = axes.imshow(np.ma.masked_invalid(values), cmap="viridis", vmin=0, vmax=largest, origin="lower")
    for layer, head in marked:
        axes.add_patch(Rectangle((head - 0.5, layer - 0.5), 1, 1, fill=False, edgecolor="#D55E00", linewidth=1.6))
    for axis, count in ((axes.xaxis, heads), (axes.yaxis, layers)):
        step = 1 if count <= 16 else 2 if count <= 32 else 4
        axis.set_ticks(range(0, count, step))
    axes.tick_params(labelsize=7)
    axes.set_xlabel("head")
    axes.set_ylabel("layer")
    axes.grid(visible=False)
    axes.set_title(caption(title, 60), loc="left", fontsize=9)
    bar = figure.colorbar(shown, ax=axes, fraction=0.05, pad=0.03)
    bar.set_label(value_name, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure
