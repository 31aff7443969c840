"""Histograms of several samples as overlaid outlines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.reports.plots.panels import draw_panels
from perceptmetrics.reports.plots.style import LINES, PALETTE, caption, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["HistogramPanel", "draw_histograms"]

_FEWEST, _MOST = 8, 40


@dataclass(frozen=True, kw_only=True)
class HistogramPanel:
    """One panel.

    Attributes:
        samples: Name in the legend and finite values of each sample.
        x_name: Title of the horizontal axis.
        title: Title of the panel.
    """

    samples: Sequence[tuple[str, Sequence[float]]]
    x_name: str
    title: str = ""


@styled
def draw_histograms(panels: Sequence[HistogramPanel]) -> Figure:
    """Draw up to three panels in a row; the samples of a panel have common bins."""
    return draw_panels(_draw_panel, panels, (3.5, 3.2), (4.2, 3.7))


def _draw_panel(axes: Axes, panel: HistogramPanel) -> None:
    together = np.concatenate([np.asarray(values, dtype=np.float64) for _, values in panel.samples])
    count = round(math.sqrt(max(len(values) for _, values in panel.samples)))
    edges = np.histogram_bin_edges(together, bins=min(max(count, _FEWEST), _MOST))
    for number, (name, values) in enumerate(panel.samples):
        counts, _ = np.histogram(values, edges)
        axes.stairs(
            100 * counts / max(1, len(values)),
            edges,
            color=PALETTE[number % len(PALETTE)],
            linestyle=LINES[number % len(LINES)],
            linewidth=1.8,
            label=caption(name, 40),
        )
    axes.legend(loc="best")
    axes.set_xlabel(caption(panel.x_name, 48))
    axes.set_ylabel("percentage of images")
    axes.set_title(caption(panel.title, 60), loc="left", fontsize=8.5)
