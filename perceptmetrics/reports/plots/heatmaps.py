"""Heat maps: confusion matrices, and a value for each attention head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle

from perceptmetrics.reports.plots.panels import draw_panels
from perceptmetrics.reports.plots.style import caption, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["ConfusionPanel", "draw_confusion", "draw_heads"]

_CELL = 0.24  # inches, of a head


@dataclass(frozen=True, kw_only=True)
class ConfusionPanel:
    """One confusion matrix.

    Attributes:
        labels: Names of the C classes.
        counts: C rows, one per true class: how often each class was predicted for it.
        title: Title.
    """

    labels: Sequence[str]
    counts: Sequence[Sequence[int]]
    title: str


@styled
def draw_confusion(panels: Sequence[ConfusionPanel]) -> Figure:
    """Draw up to two matrices in a row: the percentage of the true class, also as shade, with the count below it."""
    side = 2.2 + 0.46 * max(len(panel.labels) for panel in panels)
    return draw_panels(_draw_confusion, panels, (side, side - 0.2), columns=2)


def _draw_confusion(axes: Axes, panel: ConfusionPanel) -> None:
    counts = np.asarray(panel.counts, dtype=np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    fractions = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        shade = "white" if fractions[row, column] > 0.5 else "black"
        percentage = f"{fractions[row, column]:.0%}" if totals[row, 0] else "\N{EN DASH}"
        for text, align, size in ((percentage, "bottom", 7.5), (f"{counts[row, column]:.0f}", "top", 6)):
            axes.text(column, row, text, ha="center", va=align, color=shade, fontsize=size)
    names = [caption(label, 18) for label in panel.labels]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(panel.title, loc="left", fontsize=8.5)
    axes.grid(visible=False)


@styled
def draw_heads(
    values: NDArray[np.float64], *, marked: Sequence[tuple[int, int]] = (), title: str, value_name: str
) -> Figure:
    """Draw a cell for each attention head, with the first layer at the bottom.

    Args:
        values: Shape (L, H), not negative; NaN for heads that were not measured, which are grey.
        marked: Layer and number of the heads to frame.
        title: Title.
        value_name: Label of the colour bar.

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
