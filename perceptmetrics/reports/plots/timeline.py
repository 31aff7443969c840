"""Scores of a video over time, one panel per score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perceptmetrics.reports.plots.style import GREY, PALETTE, caption, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["TimelinePanel", "draw_timeline"]

_DOTS_UP_TO = 60  # frames


@dataclass(frozen=True, kw_only=True)
class TimelinePanel:
    """The panel of one score.

    Attributes:
        score_name: Title of the score axis.
        times: Seconds since the beginning of the video.
        scores: Score at each of these times.
        mean: Mean score.
        percentile_5: See `video.VideoSummary`.
        worst_start: Start of the worst second, in seconds.
    """

    score_name: str
    times: Sequence[float]
    scores: Sequence[float]
    mean: float
    percentile_5: float
    worst_start: float


@styled
def draw_timeline(panels: Sequence[TimelinePanel], title: str = "") -> Figure:
    """Draw the scores with their mean, 5th percentile and worst second."""
    figure = new_figure(7.0, 0.6 + 1.9 * len(panels))
    grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True)
    for axes, panel in zip(grid.flat, panels, strict=True):
        _draw_panel(axes, panel)
    grid[0, 0].set_title(caption(title, 80), loc="left")
    grid[-1, 0].set_xlabel("seconds")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _draw_panel(axes: Axes, panel: TimelinePanel) -> None:
    axes.axvspan(
        panel.worst_start, panel.worst_start + 1, color=PALETTE[1], alpha=0.2, linewidth=0, label="worst second"
    )
    marker = "o" if len(panel.times) <= _DOTS_UP_TO else None
    axes.plot(panel.times, panel.scores, color=PALETTE[0], marker=marker, markersize=3, label="frames")
    axes.axhline(panel.mean, color=GREY, linestyle="--", linewidth=1, label="mean")
    axes.axhline(panel.percentile_5, color=GREY, linestyle=":", linewidth=1, label="5th percentile")
    axes.set_ylabel(caption(panel.score_name, 28))
