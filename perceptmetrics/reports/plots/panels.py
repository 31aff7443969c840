"""Lay out equal panels in rows; the last row may be incomplete."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

from perceptmetrics.reports.plots.style import new_figure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_panels"]

Panel = TypeVar("Panel")


def draw_panels(
    draw: Callable[[Axes, Panel], None],
    panels: Sequence[Panel],
    cell: tuple[float, float],
    single: tuple[float, float] | None = None,
    *,
    columns: int = 3,
    **options: Any,
) -> Figure:
    """Draw each panel into its own axes.

    Args:
        draw: Draws one panel.
        panels: The panels, at least one.
        cell: Width and height of a panel in inches.
        single: Width and height of a panel that is alone; None for `cell`.
        columns: Largest number of panels in a row.
        **options: Further arguments of `Figure.subplots`.

    Returns:
        The figure, its axes row by row; unused axes of the last row are invisible.
    """
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    width, height = cell if columns > 1 else single or cell
    figure = new_figure(width * columns, height * rows)
    grid = list(figure.subplots(rows, columns, squeeze=False, **options).flat)
    for axes, panel in zip(grid, panels, strict=False):
        draw(axes, panel)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    return figure
