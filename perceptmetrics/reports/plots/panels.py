"""Panels in rows, of which the last need not be full."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from perceptmetrics.reports.plots.style import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["panel_grid"]


def panel_grid(
    count: int,
    cell: tuple[float, float],
    single: tuple[float, float] | None = None,
    *,
    columns: int = 3,
    **options: Any,
) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each of `count` things.

    Args:
        count: Number of panels, at least 1.
        cell: Width and height of a panel in inches.
        single: Those of a panel that is alone; None for the same.
        columns: Most panels in a row.
        **options: Further arguments of `Figure.subplots`.

    Returns:
        The figure and its panels, row by row; what is left of the last row is invisible.
    """
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    width, height = cell if columns > 1 else single or cell
    figure = new_figure(width * columns, height * rows)
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    panels = list(grid.flat)
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels[:count]
