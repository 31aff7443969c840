"""Data sets of images with human labels, in their official layouts."""

from __future__ import annotations

from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import ImageItem, LabelledImages, RenderedImage, Scale, Split
from perceptmetrics.datasets.registry import dataset_info, list_datasets, load_dataset
from perceptmetrics.datasets.splits import make_splits

__all__ = [
    "DatasetInfo",
    "ImageItem",
    "LabelledImages",
    "RenderedImage",
    "Scale",
    "Split",
    "dataset_info",
    "list_datasets",
    "load_dataset",
    "make_splits",
]
