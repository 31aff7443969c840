"""Shares with their exact intervals, such as the agreement of a metric with people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perceptmetrics.reports.plots.style import GREY, PALETTE, caption, new_figure, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

__all__ = ["ShareBar", "draw_shares"]


@dataclass(frozen=True, kw_only=True)
class ShareBar:
    """One share in [0, 1] with its interval and the number that it was counted from."""

    name: str
    share: float
    interval: tuple[float, float]
    count: int
    group: int = 0


@styled
def draw_shares(bars: Sequence[ShareBar], *, axis_name: str, chance: float = 0.5, title: str = "") -> Figure:
    """Draw shares from top to bottom; the groups have their own colours and a gap between them.

    Args:
        bars: The shares, sorted by group.
        axis_name: What the share is.
        chance: Share that chance alone would give, drawn as a line.
        title: Title.

    Returns:
        The figure.
    """
    places = [number + 0.6 * bar.group for number, bar in enumerate(bars)]
    figure = new_figure(6.2, 1.5 + 0.32 * (places[-1] + 1))
    axes = figure.add_subplot()
    axes.axvline(chance, color=GREY, linestyle="--", linewidth=1)
    axes.annotate(
        "chance", (chance, 1), xycoords=("data", "axes fraction"), xytext=(3, 2), textcoords="offset points",
        fontsize=7.5, color="#4B5563", va="bottom", ha="center",
    )  # fmt: skip
    for place, bar in zip(places, bars, strict=True):
        low, high = bar.interval
        axes.errorbar(
            [bar.share], [place], xerr=[[bar.share - low], [high - bar.share]], fmt="o", markersize=6, capsize=3,
            color=PALETTE[bar.group % len(PALETTE)],
        )  # fmt: skip
        axes.annotate(
            f"{bar.share:.0%} of {bar.count}",
            (1.02, place),
            xycoords=("axes fraction", "data"),
            fontsize=8,
            va="center",
        )
    axes.set_yticks(places, [caption(bar.name, 40) for bar in bars])
    axes.set_ylim(places[-1] + 0.6, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.set_xlabel(axis_name)
    axes.grid(visible=False, axis="y")
    if title:
        axes.set_title(title, loc="left", pad=16)
    return figure
