"""Plots: what is drawn, and that drawing leaves no trace."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex

from perceptmetrics.reports.plots import (
    ConfusionPanel,
    CurvePanel,
    FractionBar,
    GalleryImage,
    HistogramPanel,
    MethodStrip,
    RadarAxis,
    ScatterPanel,
    StepPanel,
    TrainingCurve,
    caption,
    draw_confusion,
    draw_curves,
    draw_fractions,
    draw_gallery,
    draw_histograms,
    draw_methods,
    draw_radar,
    draw_scatter,
    draw_steps,
    draw_strips,
    figure_bytes,
)
from perceptmetrics.reports.plots.style import PALETTE

AXES = [RadarAxis(name=name, lower=0, upper=1) for name in ("quality", "brightness", "sharpness")]
STEPS = StepPanel(
    attribute="noise",
    unit="sigma",
    amounts=[0, 10, 20],
    rows=[[0.9, 0.5, 0.1], [0.7, 0.3, 0.1]],
    mean=[0.8, 0.4, 0.1],
    score_name="tiny",
    note="SRCC -1",
)
PANEL = ScatterPanel(x=[1, 2, 3], y=[4, 6, 5], x_name="score", y_name="mos", note="N 3", curve_x=[1, 3], curve_y=[4, 5])
GREEN = GalleryImage(pixels=np.full((40, 60, 3), (0, 128, 0), dtype=np.uint8), text="0.5", name="green.png")
CURVES = CurvePanel(
    curves=[
        TrainingCurve(name="lr 0.1", values=[0.1, 0.4, 0.3], best=1),
        TrainingCurve(name="lr 0.01", values=[0.2, float("nan"), 0.6], best=2),
        TrainingCurve(name="lr 0.1", values=[0.2, 0.5], best=1, faint=True),
    ],
    y_name="validation SRCC",
    title="clear: split 1",
)
HISTOGRAM = HistogramPanel(samples=[("predicted", [1, 2, 2, 9]), ("rated by people", [5, 5])], x_name="mos")
CONFUSION = ConfusionPanel(labels=["awe", "fear", "joy"], counts=[[3, 1, 0], [0, 0, 0], [0, 2, 2]], title="moods")
METHODS = [
    MethodStrip(name=name, scores=[0.9, 0.8], mean=0.85, interval=(0.8, 0.9), mean_rank=rank)
    for name, rank in (("a", 1.2), ("a name of some length that is cut", 1.9), ("$c$", 3), ("d", 3.9))
]
FIGURES = {
    "radar": lambda: draw_radar(AXES, {"a.png": [0.2, 0.4, 0.6]}, "Title"),
    "bars": lambda: draw_radar(AXES[:2], {"a.png": [0.2, 0.4], "b.png": [0.5, 0.1]}),
    "scatter": lambda: draw_scatter([PANEL] * 4),
    "strips": lambda: draw_strips(
        [0.9, 0.8], [0.1, 0.3], names=("a", "b"), score_name="tiny", difference_interval=(0.5, 0.8), note="A wins"
    ),
    "methods": lambda: draw_methods(METHODS, [(0, 1), (1, 3)], score_name="tiny", note="4 methods"),
    "steps": lambda: draw_steps([STEPS, STEPS]),
    "fractions": lambda: draw_fractions(
        [FractionBar(name="all", fraction=0.8, interval=(0.7, 0.9), count=20)], axis_name="agreement"
    ),
    "curves": lambda: draw_curves([CURVES, CURVES]),
    "histogram": lambda: draw_histograms([HISTOGRAM] * 4),
    "confusion": lambda: draw_confusion([CONFUSION]),
    "gallery": lambda: draw_gallery([("Best", [GREEN] * 7), ("Worst", [GREEN])], "Title"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_reproducible_and_leave_no_settings_behind(name):
    before = dict(mpl.rcParams)
    assert figure_bytes(FIGURES[name](), "png").startswith(b"\x89PNG")
    first, again = (figure_bytes(FIGURES[name](), "svg") for _ in range(2))
    assert first == again
    ET.fromstring(first)
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", ["scatter", "strips", "steps", "fractions", "curves", "histogram", "confusion"])
def test_every_axis_has_a_title(name):
    for axes in FIGURES[name]().axes:
        if axes.get_visible():
            assert axes.get_xlabel() or axes.get_xticklabels()[0].get_text()
            assert axes.get_ylabel() or axes.get_yticklabels()[0].get_text()


def test_pdf_files_hold_no_date():
    first = figure_bytes(FIGURES["fractions"](), "pdf")
    assert first.startswith(b"%PDF")
    assert b"CreationDate" not in first


def test_reports_load_neither_pyplot_nor_what_only_training_needs():
    program = "import perceptmetrics.reports, sys; sys.exit(bool({'matplotlib.pyplot', 'accelerate'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_radar_shows_the_values_on_spokes_of_their_own_range():
    axes = [*AXES[:2], RadarAxis(name="mem", lower=0, upper=100, note="lower is better")]
    figure = draw_radar(axes, {"a.png": [0.2, 0.4, 60], "b.png": [0.5, 0.5, 0]})
    first, second = figure.axes[0].lines
    assert first.get_ydata() == pytest.approx([0.2, 0.4, 0.6, 0.2])
    assert second.get_ydata() == pytest.approx([0.5, 0.5, 0, 0.5])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [
        "quality\n(0 to 1)",
        "brightness\n(0 to 1)",
        "mem\nlower is better\n(0 to 100)",
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a.png", "b.png"]


def test_rows_differ_in_more_than_colour():
    lines = draw_radar(AXES, {name: [0.1, 0.2, 0.3] for name in "abc"}).axes[0].lines
    assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == 3


def test_colours_differ_in_lightness_or_hue_for_the_colour_blind():
    """The palette is Okabe and Ito's; whoever changes a colour should look them up first."""
    assert {to_hex(colour).upper() for colour in PALETTE} <= {
        "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#000000",
    }  # fmt: skip


def test_steps_stand_in_their_order_even_when_amounts_fall():
    panel = StepPanel(**{**vars(STEPS), "amounts": [6, 3, 0]})
    (axes,) = draw_steps([panel]).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["6", "3", "0"]
    assert axes.lines[-1].get_ydata() == pytest.approx(STEPS.mean)
    assert "more noise" in axes.get_xlabel()
    assert "sigma" in axes.get_xlabel()


def test_curves_run_over_the_epochs_and_mark_the_best():
    (axes,) = draw_curves([CURVES]).axes
    faint, first, second = axes.lines[:3]
    assert first.get_xdata() == pytest.approx([1, 2, 3])
    assert first.get_ydata() == pytest.approx([0.1, 0.4, 0.3])
    assert [line.get_markevery() for line in (faint, first, second)] == [[1], [1], [2]]
    assert faint.get_alpha() < first.get_alpha()
    assert faint.get_color() == first.get_color() != second.get_color()
    assert first.get_linestyle() != second.get_linestyle()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["lr 0.1", "lr 0.01"]


def test_a_training_of_one_epoch_can_be_seen():
    (axes,) = draw_curves([CurvePanel(curves=[TrainingCurve(name="", values=[0.4])], y_name="loss")]).axes
    assert axes.lines[0].get_markevery() == [0]
    assert axes.get_legend() is None


def test_a_histogram_compares_shares_in_the_same_bins():
    (axes,) = draw_histograms([HISTOGRAM]).axes
    (counts, edges, _), (others, other_edges, _) = (patch.get_data() for patch in axes.patches)
    assert np.array_equal(edges, other_edges)
    assert (edges[0], edges[-1]) == (1, 9)
    assert counts[[0, 1, -1]] == pytest.approx([25, 50, 25])
    assert others.sum() == others.max() == pytest.approx(100)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["predicted", "rated by people"]


def test_a_confusion_matrix_has_shares_of_rows_and_counts():
    (axes,) = draw_confusion([CONFUSION]).axes
    assert np.array_equal(axes.images[0].get_array(), [[0.75, 0.25, 0], [0, 0, 0], [0, 0.5, 0.5]])
    shown = {}
    for text in axes.texts:
        column, row = text.get_position()
        shown.setdefault((row, column), []).append(text.get_text())
    assert shown[0, 0] == ["75%", "3"]
    assert shown[2, 1] == ["50%", "2"]
    assert shown[1, 1] == ["\N{EN DASH}", "0"]


def test_points_behind_others_are_drawn_faintly_beneath_them():
    panel = ScatterPanel(**{**vars(PANEL), "behind_x": [0, 9], "behind_y": [1, 8], "names": ("split 1", "others")})
    (axes,) = draw_scatter([panel]).axes
    front, behind = axes.collections
    assert np.array_equal(behind.get_offsets(), [[0, 1], [9, 8]])
    assert behind.get_zorder() < front.get_zorder()
    assert behind.get_alpha() < front.get_alpha()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["split 1", "others", "logistic fit"]


def test_a_gallery_has_a_picture_for_each_image():
    figure = FIGURES["gallery"]()
    assert len(figure.axes) == 8
    assert all(np.array_equal(axes.images[0].get_array(), GREEN.pixels) for axes in figure.axes)
    places = [axes.get_position() for axes in figure.axes]
    assert all(place.x0 >= 0 and place.x1 <= 1 and place.y0 >= 0 and place.y1 <= 1 for place in places)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain.jpg", "plain.jpg"),
        ("$\\frac{1}{2}$.png", "$\\frac{1}{2}$.png"),
        ("$\\nonsense{$", "$\\nonsense{$"),
        ("two\nlines", "two\\nlines"),
        ("\u6771.png", "?.png"),
        ("\udcff.png", "\\udcff.png"),
        ("a-very-long-name-of-a-photograph.jpg", "a-very-long-name-of-…tograph.jpg"),
    ],
)
def test_captions_can_be_drawn(text, shown):
    assert caption(text) == shown
    assert len(caption(text)) <= 32
    figure_bytes(draw_radar(AXES, {text: [0.2, 0.4, 0.6]}), "svg")
