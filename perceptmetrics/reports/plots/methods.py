"""Plots of several sets of paired scores: their mean ranks with what does not differ, and a strip for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.reports.plots.style import GREY, MARKERS, PALETTE, caption, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MethodStrip", "draw_methods"]


@dataclass(frozen=True, kw_only=True)
class MethodStrip:
    """A set of scores.

    Attributes:
        name: Its name.
        scores: N scores, those of one index belonging together in all sets.
        mean: Their mean.
        interval: Its interval.
        mean_rank: Its mean rank among the sets, 1 for the best.
    """

    name: str
    scores: Sequence[float]
    mean: float
    interval: tuple[float, float]
    mean_rank: float


@styled
def draw_methods(
    methods: Sequence[MethodStrip], alike: Sequence[tuple[int, int]], *, score_name: str, note: str
) -> Figure:
    """Draw the mean ranks on an axis, as in a diagram of critical differences, and a strip of scores for each set.

    Args:
        methods: The sets, the best first.
        alike: First and last index of sets that do not differ significantly.
        score_name: Title of the score axis.
        note: The result in one line, used as the title.

    Returns:
        The figure.
    """
    count = len(methods)
    ranks_height, strips_height = 0.75 + 0.22 * (count / 2 + len(alike)), 0.9 + 0.42 * count
    figure = new_figure(6.8, ranks_height + strips_height + 0.3)
    top, bottom = figure.subplots(2, 1, height_ratios=(ranks_height, strips_height))
    _draw_ranks(top, methods, alike)
    _draw_strips(bottom, methods)
    bottom.set_xlabel(caption(score_name, 60))
    figure.suptitle(caption(note, 90), fontsize=10)
    return figure


def _draw_ranks(axes: Axes, methods: Sequence[MethodStrip], alike: Sequence[tuple[int, int]]) -> None:
    """The better half is named on the left, the worse half on the right; bars join what does not differ."""
    count = len(methods)
    margin = 0.45 * (count - 1) + 0.2
    axes.set_xlim(1 - margin, count + margin)
    axes.set_xticks(range(1, count + 1))
    axes.xaxis.set_ticks_position("top")
    axes.spines["top"].set(visible=True, bounds=(1, count))
    for side in ("left", "bottom", "right"):
        axes.spines[side].set_visible(False)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.set_title("mean rank, 1 is best; a bar joins methods that do not differ (sign tests, Holm, 0.05)", fontsize=8)
    bars = 0.35 * len(alike)
    rows = (count + 1) // 2
    axes.set_ylim(-(bars + 0.6 * rows + 0.2), 0)
    for index, method in enumerate(methods):
        left = index < rows
        row = index if left else count - 1 - index
        depth = -(bars + 0.6 * (row + 0.75))
        end = 1 - 0.05 * (count - 1) if left else count + 0.05 * (count - 1)
        colour = PALETTE[index % len(PALETTE)]
        axes.plot([method.mean_rank, method.mean_rank, end], [0, depth, depth], color=colour, linewidth=1.1)
        text = f"{caption(method.name, 26)}  {method.mean_rank:.2f} "
        if not left:
            text = f" {method.mean_rank:.2f}  {caption(method.name, 26)}"
        axes.annotate(text, (end, depth), fontsize=8, va="center", ha="right" if left else "left")
    for level, (first, last) in enumerate(alike):
        depth = -0.35 * (level + 0.6)
        ends = (methods[first].mean_rank - 0.02 * count, methods[last].mean_rank + 0.02 * count)
        axes.plot(ends, [depth, depth], color="black", linewidth=3, solid_capstyle="butt")


def _draw_strips(axes: Axes, methods: Sequence[MethodStrip]) -> None:
    """A row of points for each set, the best at the top, and its mean with an interval below the points."""
    count = len(methods[0].scores)
    spread = np.random.default_rng(0).uniform(-0.13, 0.13, count)  # so that equal scores do not hide each other
    alpha = min(0.7, max(0.08, 20 / count))
    for index, method in enumerate(methods):
        colour, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
        axes.scatter(method.scores, index - 0.12 + spread, s=14, color=colour, marker=marker, alpha=alpha, linewidths=0)
        low, high = method.interval
        axes.errorbar(
            [method.mean],
            [index + 0.28],
            xerr=[[max(0.0, method.mean - low)], [max(0.0, high - method.mean)]],
            color="black",
            marker="o",
            markersize=4,
            capsize=3,
            linewidth=1.3,
        )
    axes.set_yticks(range(len(methods)), [caption(method.name, 26) for method in methods])
    axes.set_ylim(len(methods) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_color(GREY)
    axes.set_title("each image, and the mean with its 95 % interval", fontsize=8)
