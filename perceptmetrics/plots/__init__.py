"""Plots for papers and reports, from plain numbers; they need the extra `plots`."""

from __future__ import annotations

from perceptmetrics.plots.confusion import ConfusionPanel, draw_confusion
from perceptmetrics.plots.gallery import GalleryImage, draw_gallery
from perceptmetrics.plots.radar import RadarAxis, draw_radar
from perceptmetrics.plots.scatter import ScatterPanel, draw_scatter
from perceptmetrics.plots.shares import ShareBar, draw_shares
from perceptmetrics.plots.steps import StepPanel, draw_steps
from perceptmetrics.plots.strip import draw_strips
from perceptmetrics.plots.style import PLOT_FORMS, caption, figure_bytes

__all__ = [
    "PLOT_FORMS",
    "ConfusionPanel",
    "GalleryImage",
    "RadarAxis",
    "ScatterPanel",
    "ShareBar",
    "StepPanel",
    "caption",
    "draw_confusion",
    "draw_gallery",
    "draw_radar",
    "draw_scatter",
    "draw_shares",
    "draw_steps",
    "draw_strips",
    "figure_bytes",
]
