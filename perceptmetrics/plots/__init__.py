"""Plots for papers and reports, from plain numbers; they need the extra `plots`."""

from __future__ import annotations

from perceptmetrics.plots.confusion import ConfusionPanel, draw_confusion
from perceptmetrics.plots.curves import CurvePanel, TrainingCurve, draw_curves
from perceptmetrics.plots.gallery import GalleryImage, draw_gallery
from perceptmetrics.plots.heads import draw_heads
from perceptmetrics.plots.histogram import HistogramPanel, draw_histograms
from perceptmetrics.plots.overlay import ColourScale, OverlayPanel, draw_overlays, paint
from perceptmetrics.plots.radar import RadarAxis, draw_radar
from perceptmetrics.plots.scatter import ScatterPanel, draw_scatter
from perceptmetrics.plots.shares import ShareBar, draw_shares
from perceptmetrics.plots.steps import StepPanel, draw_steps
from perceptmetrics.plots.strip import draw_strips
from perceptmetrics.plots.style import PLOT_FORMS, caption, figure_bytes
from perceptmetrics.plots.timeline import TimelinePanel, draw_timeline

__all__ = [
    "PLOT_FORMS",
    "ColourScale",
    "ConfusionPanel",
    "CurvePanel",
    "GalleryImage",
    "HistogramPanel",
    "OverlayPanel",
    "RadarAxis",
    "ScatterPanel",
    "ShareBar",
    "StepPanel",
    "TimelinePanel",
    "TrainingCurve",
    "caption",
    "draw_confusion",
    "draw_curves",
    "draw_gallery",
    "draw_heads",
    "draw_histograms",
    "draw_overlays",
    "draw_radar",
    "draw_scatter",
    "draw_shares",
    "draw_steps",
    "draw_strips",
    "draw_timeline",
    "figure_bytes",
    "paint",
]
