"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.reports.plots.panels import panel_grid
from perceptmetrics.reports.plots.style import caption, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ConfusionPanel", "draw_confusion"]


@dataclass(frozen=True, kw_only=True)
class ConfusionPanel:
    """One matrix.

    Attributes:
        labels: Names of the C classes.
        counts: C rows, one for each true class, of how often it was taken for each class.
        title: Title.
    """

    labels: Sequence[str]
    counts: Sequence[Sequence[int]]
    title: str


@styled
def draw_confusion(panels: Sequence[ConfusionPanel]) -> Figure:
    """Draw up to two matrices in a row: the share of the true class in percent and as shade, the count under it."""
    side = 2.2 + 0.46 * max(len(panel.labels) for panel in panels)
    figure, grid = panel_grid(len(panels), (side, side - 0.2), columns=2)
    for axes, panel in zip(grid, panels, strict=True):
        _draw_panel(axes, panel)
    return figure


def _draw_panel(axes: Axes, panel: ConfusionPanel) -> None:
    counts = np.asarray(panel.counts, dtype=np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        shade = "white" if shares[row, column] > 0.5 else "black"
        share = f"{shares[row, column]:.0%}" if totals[row, 0] else "\N{EN DASH}"
        for text, place, size in ((share, "bottom", 7.5), (f"{counts[row, column]:.0f}", "top", 6)):
            axes.text(column, row, text, ha="center", va=place, color=shade, fontsize=size)
    names = [caption(label, 18) for label in panel.labels]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(panel.title, loc="left", fontsize=8.5)
    axes.grid(visible=False)
