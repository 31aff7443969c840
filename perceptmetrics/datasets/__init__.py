"""Data sets of images with human labels, in their official layouts."""

from __future__ import annotations

from perceptmetrics.datasets.labelled import ImageItem, LabelledImages, RenderedImage, Scale, Split

__all__ = ["ImageItem", "LabelledImages", "RenderedImage", "Scale", "Split"]
