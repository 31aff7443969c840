"""Scores along the steps of a ladder, one panel per attribute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perceptmetrics.reports.plots.panels import draw_panels
from perceptmetrics.reports.plots.style import GREY, PALETTE, caption, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["StepPanel", "draw_steps"]


@dataclass(frozen=True, kw_only=True)
class StepPanel:
    """The panel of one attribute.

    Attributes:
        attribute: The attribute that increases from left to right.
        unit: Unit of the amounts.
        amounts: Amount at each step.
        rows: Score at each step, one row per image.
        mean: Mean score at each step.
        score_name: Title of the score axis.
        note: The correlation, in the title.
    """

    attribute: str
    unit: str
    amounts: Sequence[float]
    rows: Sequence[Sequence[float]]
    mean: Sequence[float]
    score_name: str
    note: str


@styled
def draw_steps(panels: Sequence[StepPanel]) -> Figure:
    """Draw up to three panels in a row: a thin line per image and a thick one for their mean."""
    same_score = len({panel.score_name for panel in panels}) == 1
    figure = draw_panels(_draw_panel, panels, (3.4, 2.9), (4.2, 3.4), sharey=same_score)
    if any(len(panel.rows) > 1 for panel in panels):
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=2)
    return figure


def _draw_panel(axes: Axes, panel: StepPanel) -> None:
    steps = range(len(panel.amounts))
    alpha = min(0.8, max(0.12, 8 / len(panel.rows)))
    for number, row in enumerate(panel.rows):
        axes.plot(steps, row, color=GREY, alpha=alpha, linewidth=0.8, label="image" if number == 0 else None)
    axes.plot(steps, panel.mean, color=PALETTE[0], marker="o", markersize=5, linewidth=2.2, label="mean")
    shown = steps if len(steps) <= 9 else steps[:: math.ceil(len(steps) / 9)]
    axes.set_xticks(list(shown), [f"{panel.amounts[step]:.3g}" for step in shown])
    axes.set_xlabel(f"more {panel.attribute} →\n{panel.unit}")
    axes.set_ylabel(caption(panel.score_name, 40))
    axes.set_title(f"{panel.attribute}: {panel.note}", loc="left")
    axes.tick_params(labelleft=True)
