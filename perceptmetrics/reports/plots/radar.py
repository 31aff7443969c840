"""Attributes of images in polar coordinates, as CLIP-UIQA (2024) plots them; bars if there are only two."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.reports.plots.style import LINES, MARKERS, PALETTE, caption, new_figure, styled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.projections.polar import PolarAxes

__all__ = ["RadarAxis", "draw_radar"]


@dataclass(frozen=True, kw_only=True)
class RadarAxis:
    """One spoke.

    Attributes:
        name: Name of the attribute.
        lower: Value at the centre.
        upper: Value at the rim.
        note: A line below the name.
    """

    name: str
    lower: float
    upper: float
    note: str = ""

    def fraction(self, value: float) -> float:
        """Position of a value between the centre (0) and the rim (1)."""
        return (value - self.lower) / (self.upper - self.lower)


@styled
def draw_radar(axes: Sequence[RadarAxis], rows: Mapping[str, Sequence[float]], title: str = "") -> Figure:
    """Overlay rows of values on common spokes.

    Args:
        axes: The spokes; fewer than three are drawn as bars.
        rows: One value per spoke, by the name of the row.
        title: Title.

    Returns:
        The figure.
    """
    common = len({(axis.lower, axis.upper) for axis in axes}) == 1
    names = [_name(axis, with_range=not common) for axis in axes]
    fractions = {
        caption(name, 40): [axis.fraction(v) for axis, v in zip(axes, row, strict=True)] for name, row in rows.items()
    }
    rings = [f"{axes[0].lower + step * (axes[0].upper - axes[0].lower) / 4:g}" if common else "" for step in range(5)]
    figure = new_figure(5.2, 4.6 + 0.18 * math.ceil(len(rows) / 2))
    if len(axes) < 3:
        _draw_bars(figure.add_subplot(), names, fractions, rings)
    else:
        _draw_spokes(figure.add_subplot(projection="polar"), names, fractions, rings)
    if title:
        figure.suptitle(title, fontsize=11)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(2, len(rows)))
    return figure


def _draw_spokes(
    axes: Axes | PolarAxes, names: Sequence[str], rows: Mapping[str, Sequence[float]], rings: Sequence[str]
) -> None:
    angles = np.linspace(0, 2 * math.pi, len(names), endpoint=False)
    polar = axes
    polar.set_theta_offset(math.pi / 2)  # type: ignore[union-attr]
    polar.set_theta_direction(-1)  # type: ignore[union-attr]
    polar.set_ylim(0, 1)
    polar.set_yticks([0.25, 0.5, 0.75, 1.0], rings[1:], fontsize=7, color="#4B5563")
    polar.set_rlabel_position(180 / len(names))  # type: ignore[union-attr]
    polar.set_xticks(angles, names)
    polar.tick_params(axis="x", pad=8)
    for label, angle in zip(polar.get_xticklabels(), angles, strict=True):
        sideways = math.sin(angle)
        label.set_horizontalalignment("center" if abs(sideways) < 0.1 else "left" if sideways > 0 else "right")
    closed = np.append(angles, angles[0])
    for number, (name, row) in enumerate(rows.items()):
        colour = PALETTE[number % len(PALETTE)]
        line, marker = LINES[number % len(LINES)], MARKERS[number % len(MARKERS)]
        polar.plot(closed, [*row, row[0]], color=colour, linestyle=line, marker=marker, markersize=4, label=name)
        polar.fill(closed, [*row, row[0]], color=colour, alpha=0.08)


def _draw_bars(axes: Axes, names: Sequence[str], rows: Mapping[str, Sequence[float]], rings: Sequence[str]) -> None:
    width = 0.8 / len(rows)
    centres = np.arange(len(names))
    for number, (name, row) in enumerate(rows.items()):
        offset = (number - (len(rows) - 1) / 2) * width
        axes.bar(centres + offset, row, width * 0.92, color=PALETTE[number % len(PALETTE)], label=name)
    axes.set_xticks(centres, names)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0], rings if rings[0] else ["lower end", "", "", "", "upper end"])
    axes.set_ylabel("score")
    axes.grid(visible=False, axis="x")


def _name(axis: RadarAxis, *, with_range: bool) -> str:
    lines = [caption(axis.name), axis.note, f"({axis.lower:g} to {axis.upper:g})" if with_range else ""]
    return "\n".join(line for line in lines if line)
