"""Fractions with their exact intervals, such as the agreement of a metric with people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perceptmetrics.reports.plots.style import GREY, PALETTE, caption, new_figure, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

__all__ = ["FractionBar", "draw_fractions"]


@dataclass(frozen=True, kw_only=True)
class FractionBar:
    """One fraction in [0, 1] with its interval and the number of cases.

    Attributes:
        name: Label of the row.
        fraction: The fraction.
        interval: Its interval.
        count: Number of cases.
        group: Index of the group, which sets the colour.
    """

    name: str
    fraction: float
    interval: tuple[float, float]
    count: int
    group: int = 0


@styled
def draw_fractions(bars: Sequence[FractionBar], *, axis_name: str, chance: float = 0.5, title: str = "") -> Figure:
    """Draw fractions from top to bottom; each group has its own colour, with a gap between groups.

    Args:
        bars: The fractions, sorted by group.
        axis_name: Title of the axis.
        chance: Fraction expected by chance, drawn as a line.
        title: Title.

    Returns:
        The figure.
    """
    heights = [number + 0.6 * bar.group for number, bar in enumerate(bars)]
    figure = new_figure(6.2, 1.5 + 0.32 * (heights[-1] + 1))
    axes = figure.add_subplot()
    axes.axvline(chance, color=GREY, linestyle="--", linewidth=1)
    axes.annotate(
        "chance", (chance, 1), xycoords=("data", "axes fraction"), xytext=(3, 2), textcoords="offset points",
        fontsize=7.5, color="#4B5563", va="bottom", ha="center",
    )  # fmt: skip
    for height, bar in zip(heights, bars, strict=True):
        low, high = bar.interval
        axes.errorbar(
            [bar.fraction], [height], xerr=[[bar.fraction - low], [high - bar.fraction]], fmt="o", markersize=6,
            capsize=3, color=PALETTE[bar.group % len(PALETTE)],
        )  # fmt: skip
        axes.annotate(
            f"{bar.fraction:.0%} of {bar.count}",
            (1.02, height),
            xycoords=("axes fraction", "data"),
            fontsize=8,
            va="center",
        )
    axes.set_yticks(heights, [caption(bar.name, 40) for bar in bars])
    axes.set_ylim(heights[-1] + 0.6, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.set_xlabel(axis_name)
    axes.grid(visible=False, axis="y")
    if title:
        axes.set_title(title, loc="left", pad=16)
    return figure
