"""Draw plots for papers and reports from plain numbers; knows nothing of metrics and experiments.

Needs the extra `plots`.
"""

from __future__ import annotations

from perceptmetrics.errors import MissingExtraError

try:
    import matplotlib as mpl  # noqa: F401 - the modules below need it
except ImportError as error:
    raise MissingExtraError("Drawing a plot", "plots") from error

from perceptmetrics.reports.plots.curves import CurvePanel, TrainingCurve, draw_curves
from perceptmetrics.reports.plots.fractions import FractionBar, draw_fractions
from perceptmetrics.reports.plots.gallery import GalleryImage, draw_gallery
from perceptmetrics.reports.plots.heatmaps import ConfusionPanel, draw_confusion, draw_heads
from perceptmetrics.reports.plots.histogram import HistogramPanel, draw_histograms
from perceptmetrics.reports.plots.methods import MethodStrip, draw_methods
from perceptmetrics.reports.plots.overlay import ColourScale, OverlayPanel, draw_overlays, paint
from perceptmetrics.reports.plots.radar import RadarAxis, draw_radar
from perceptmetrics.reports.plots.scatter import ScatterPanel, draw_scatter
from perceptmetrics.reports.plots.steps import StepPanel, draw_steps
from perceptmetrics.reports.plots.strip import draw_strips
from perceptmetrics.reports.plots.style import PLOT_FORMATS, caption, figure_bytes
from perceptmetrics.reports.plots.timeline import TimelinePanel, draw_timeline

__all__ = [
    "PLOT_FORMATS",
    "ColourScale",
    "ConfusionPanel",
    "CurvePanel",
    "FractionBar",
    "GalleryImage",
    "HistogramPanel",
    "MethodStrip",
    "OverlayPanel",
    "RadarAxis",
    "ScatterPanel",
    "StepPanel",
    "TimelinePanel",
    "TrainingCurve",
    "caption",
    "draw_confusion",
    "draw_curves",
    "draw_fractions",
    "draw_gallery",
    "draw_heads",
    "draw_histograms",
    "draw_methods",
    "draw_overlays",
    "draw_radar",
    "draw_scatter",
    "draw_steps",
    "draw_strips",
    "draw_timeline",
    "figure_bytes",
    "paint",
]
