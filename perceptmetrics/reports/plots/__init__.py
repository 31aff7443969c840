"""Plots for papers and reports, from plain numbers; they need the extra `plots`."""

from __future__ import annotations

from perceptmetrics.reports.plots.confusion import ConfusionPanel, draw_confusion
from perceptmetrics.reports.plots.curves import CurvePanel, TrainingCurve, draw_curves
from perceptmetrics.reports.plots.gallery import GalleryImage, draw_gallery
from perceptmetrics.reports.plots.heads import draw_heads
from perceptmetrics.reports.plots.histogram import HistogramPanel, draw_histograms
from perceptmetrics.reports.plots.overlay import ColourScale, OverlayPanel, draw_overlays, paint
from perceptmetrics.reports.plots.radar import RadarAxis, draw_radar
from perceptmetrics.reports.plots.scatter import ScatterPanel, draw_scatter
from perceptmetrics.reports.plots.shares import ShareBar, draw_shares
from perceptmetrics.reports.plots.steps import StepPanel, draw_steps
from perceptmetrics.reports.plots.strip import draw_strips
from perceptmetrics.reports.plots.style import PLOT_FORMS, caption, figure_bytes
from perceptmetrics.reports.plots.timeline import TimelinePanel, draw_timeline

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
