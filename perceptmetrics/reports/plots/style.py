"""The common style of all plots: sizes, fonts, a colour-blind-safe palette, and encoding of files.

Matplotlib's global state (`pyplot`) is never used, so plots can be drawn on any thread and do not affect the caller's.
"""

from __future__ import annotations

import io
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from perceptmetrics._util.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "GREY",
    "LINES",
    "MARKERS",
    "PALETTE",
    "PLOT_FORMATS",
    "caption",
    "figure_bytes",
    "new_figure",
    "styled",
]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito, 2008
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#6B7280"
PLOT_FORMATS = ("png", "svg", "pdf")
RESOLUTION = 200  # dots per inch of PNG files

_FONT = "DejaVu Sans"  # comes with Matplotlib, so plots look the same everywhere
_STYLE: Any = {
    "font.family": _FONT,
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E5E7EB",
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.08,
    "text.parse_math": False,  # a file name may hold dollar signs
    "pdf.fonttype": 42,  # TrueType, which publishers ask for
    "svg.hashsalt": "perceptmetrics",  # the same plot is the same file
}

Arguments = ParamSpec("Arguments")


def styled(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Decorate a function so that it draws in the style of this package without changing Matplotlib's settings."""

    @wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Figure:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


def new_figure(width: float, height: float) -> Figure:
    """Create an empty figure that `pyplot` does not know of.

    Args:
        width: Inches; 3.5 fills a column of a paper, 7 a page.
        height: Inches.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def figure_bytes(figure: Figure, suffix: str) -> bytes:
    """Encode a figure reproducibly: equal figures give equal bytes.

    Args:
        figure: The figure.
        suffix: `"png"`, `"svg"` or `"pdf"`.
    """
    buffer = io.BytesIO()
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with mpl.rc_context(_STYLE):
        figure.savefig(buffer, format=suffix, dpi=RESOLUTION, metadata=dates.get(suffix, {}))
    return buffer.getvalue()


def caption(text: str, length: int = 32) -> str:
    """Shorten text to at most `length` characters for a plot; characters that the font lacks become `?`."""
    shown = "".join(character if ord(character) in _glyphs() else "?" for character in printable(text))
    if len(shown) <= length:
        return shown
    head = (length - 1) * 2 // 3
    return f"{shown[:head]}…{shown[head + 1 - length :]}"


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(_FONT)).get_charmap())
