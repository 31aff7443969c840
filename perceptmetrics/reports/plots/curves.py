"""Training curves, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.ticker import MaxNLocator

from perceptmetrics.reports.plots.panels import draw_panels
from perceptmetrics.reports.plots.style import LINES, PALETTE, caption, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CurvePanel", "TrainingCurve", "draw_curves"]

_FAINT, _CLEAR = 0.3, 1.0


@dataclass(frozen=True, kw_only=True)
class TrainingCurve:
    """The curve of one training.

    Attributes:
        name: Name in the legend; curves of the same name look the same and have one entry.
        values: A value for each epoch; NaN leaves a gap.
        best: Index of the epoch to mark; None for none.
        faint: Whether to draw it in the background.
    """

    name: str
    values: Sequence[float]
    best: int | None = None
    faint: bool = False


@dataclass(frozen=True, kw_only=True)
class CurvePanel:
    """One panel.

    Attributes:
        curves: The curves.
        y_name: Title of the vertical axis.
        title: Title of the panel.
    """

    curves: Sequence[TrainingCurve]
    y_name: str
    title: str = ""


@styled
def draw_curves(panels: Sequence[CurvePanel]) -> Figure:
    """Draw up to three panels in a row; a dot marks the best epoch of each curve."""
    return draw_panels(_draw_panel, panels, (3.5, 3.0), (4.2, 3.3))


def _draw_panel(axes: Axes, panel: CurvePanel) -> None:
    names = list(dict.fromkeys(curve.name for curve in panel.curves))
    for curve in sorted(panel.curves, key=lambda curve: not curve.faint):
        _draw_curve(axes, curve, names.index(curve.name))
    for number, name in enumerate(names if len(names) > 1 else ()):
        axes.plot([], [], **_look(number), label=caption(name, 40))
    if len(names) > 1:
        axes.legend(loc="best")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.set_ylabel(caption(panel.y_name, 40))
    axes.set_title(caption(panel.title, 60), loc="left", fontsize=8.5)


def _draw_curve(axes: Axes, curve: TrainingCurve, number: int) -> None:
    epochs = range(1, len(curve.values) + 1)
    alpha, width = (_FAINT, 0.9) if curve.faint else (_CLEAR, 1.8)
    marked = [] if curve.best is None else [curve.best]
    single = [0] if len(curve.values) == 1 else []  # a line needs two points to be visible
    axes.plot(
        epochs,
        curve.values,
        **_look(number),
        alpha=alpha,
        linewidth=width,
        marker="o",
        markersize=3 if curve.faint else 6,
        markevery=marked or single,
    )


def _look(number: int) -> dict[str, Any]:
    """Colour and line style of the n-th curve."""
    return {"color": PALETTE[number % len(PALETTE)], "linestyle": LINES[number % len(LINES)]}
