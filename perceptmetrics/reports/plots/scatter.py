"""Scatter plots of scores and ratings, one panel per pair, with the fitted curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perceptmetrics.reports.plots.panels import draw_panels
from perceptmetrics.reports.plots.style import GREY, PALETTE, caption, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ScatterPanel", "draw_scatter"]

_BEHIND = 0.9  # points are drawn at 1, the grid at 0.5


@dataclass(frozen=True, kw_only=True)
class ScatterPanel:
    """One panel.

    Attributes:
        x: N values.
        y: N values.
        x_name: Title of the horizontal axis.
        y_name: Title of the vertical axis.
        note: Coefficients, written above the points.
        curve_x: Points of the fitted curve; may be empty.
        curve_y: Values of the fitted curve at these points.
        curve_name: Name of the curve in the legend.
        behind_x: Further points, drawn faintly behind the others; may be empty.
        behind_y: Values of these points.
        names: Names in the legend of the points and of those behind.
    """

    x: Sequence[float]
    y: Sequence[float]
    x_name: str
    y_name: str
    note: str
    curve_x: Sequence[float] = ()
    curve_y: Sequence[float] = ()
    curve_name: str = "logistic fit"
    behind_x: Sequence[float] = ()
    behind_y: Sequence[float] = ()
    names: tuple[str, str] = ("image", "other image")


@styled
def draw_scatter(panels: Sequence[ScatterPanel]) -> Figure:
    """Draw up to three panels in a row."""
    return draw_panels(_draw_panel, panels, (3.5, 3.2), (4.2, 3.7))


def _draw_panel(axes: Axes, panel: ScatterPanel) -> None:
    alpha = min(0.75, max(0.15, 120 / max(1, len(panel.x))))
    axes.scatter(panel.x, panel.y, s=14, color=PALETTE[0], alpha=alpha, linewidths=0, label=caption(panel.names[0]))
    if len(panel.behind_x):
        alpha = min(0.3, max(0.1, 200 / len(panel.behind_x)))
        axes.scatter(
            panel.behind_x,
            panel.behind_y,
            s=8,
            color=GREY,
            alpha=alpha,
            linewidths=0,
            label=caption(panel.names[1]),
            zorder=_BEHIND,
        )
    if len(panel.curve_x):
        axes.plot(panel.curve_x, panel.curve_y, color=PALETTE[1], label=panel.curve_name)
    if len(panel.curve_x) or len(panel.behind_x):
        for handle in axes.legend(loc="best").legend_handles:
            if handle is not None:
                handle.set_alpha(1)
    axes.set_title(panel.note, loc="left", fontsize=8.5)
    axes.set_xlabel(caption(panel.x_name, 48))
    axes.set_ylabel(caption(panel.y_name, 40))
