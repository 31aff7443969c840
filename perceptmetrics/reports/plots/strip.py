"""Strip plots of two sets of paired scores: each pair as a line, and the differences with their mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.reports.plots.style import GREY, MARKERS, PALETTE, caption, new_figure, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["draw_strips"]


@styled
def draw_strips(
    scores_a: Sequence[float],
    scores_b: Sequence[float],
    *,
    names: tuple[str, str],
    score_name: str,
    difference_interval: tuple[float, float],
    note: str,
) -> Figure:
    """Draw a strip of points for each set, and one for the differences.

    Args:
        scores_a: N scores of the first set.
        scores_b: The N scores of their partners.
        names: Names of the two sets.
        score_name: Title of the score axis.
        difference_interval: Interval of the mean of A minus B.
        note: The result in one line, used as the title.

    Returns:
        The figure.
    """
    first, second = np.asarray(scores_a), np.asarray(scores_b)
    sideways = np.random.default_rng(0).uniform(-0.09, 0.09, len(first))  # so that equal scores do not hide each other
    figure = new_figure(6.2, 3.8)
    left, right = figure.subplots(1, 2, width_ratios=(1.8, 1))
    _draw_pairs(left, first, second, sideways)
    left.set_xticks([0, 1], [f"A: {caption(names[0], 24)}", f"B: {caption(names[1], 24)}"])
    left.set_ylabel(caption(score_name, 48))
    _draw_differences(right, first - second, sideways, difference_interval)
    figure.suptitle(note, fontsize=10)
    return figure


def _draw_pairs(
    axes: Axes, first: NDArray[np.float64], second: NDArray[np.float64], sideways: NDArray[np.float64]
) -> None:
    alpha = min(0.5, max(0.06, 20 / len(first)))
    axes.plot(np.stack([sideways, 1 + sideways]), np.stack([first, second]), color=GREY, alpha=alpha, linewidth=0.7)
    for x, scores in enumerate((first, second)):
        colour, marker = PALETTE[x], MARKERS[x]
        axes.scatter(x + sideways, scores, s=16, color=colour, marker=marker, alpha=0.7, linewidths=0)
        _draw_mean(axes, x, float(scores.mean()))
    axes.set_xlim(-0.65, 1.65)
    axes.grid(visible=False, axis="x")


def _draw_mean(axes: Axes, x: float, mean: float) -> None:
    axes.hlines(mean, x - 0.22, x + 0.22, color="black", linewidth=2, zorder=4)
    side = -1 if x == 0 else 1
    align = "right" if x == 0 else "left"
    axes.annotate(f"mean\n{mean:.3g}", (x + side * 0.25, mean), fontsize=8, ha=align, va="center")


def _draw_differences(
    axes: Axes, differences: NDArray[np.float64], sideways: NDArray[np.float64], interval: tuple[float, float]
) -> None:
    mean = float(differences.mean())
    axes.axhline(0, color=GREY, linewidth=0.9, linestyle="--")
    axes.scatter(sideways, differences, s=16, color=PALETTE[2], marker=MARKERS[2], alpha=0.6, linewidths=0)
    axes.errorbar(
        [0.5],
        [mean],
        yerr=[[max(0.0, mean - interval[0])], [max(0.0, interval[1] - mean)]],
        color="black",
        marker="o",
        markersize=5,
        capsize=4,
        linewidth=1.4,
    )
    axes.set_xlim(-0.25, 0.75)
    axes.set_xticks([0, 0.5], ["each pair", "mean,\n95 % interval"])
    axes.set_ylabel("A minus B")
    axes.grid(visible=False, axis="x")
