"""Read data sets of images with human labels in their official layouts; knows nothing of metrics and training."""

from __future__ import annotations

from perceptmetrics.datasets.check import check_dataset
from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import ImageItem, LabelledImages, RenderedImage, Scale, Split
from perceptmetrics.datasets.registry import dataset_info, list_datasets, load_dataset, register_dataset
from perceptmetrics.datasets.report import DatasetReport
from perceptmetrics.datasets.split_file import with_split_file
from perceptmetrics.datasets.splits import make_splits, splits_note

__all__ = [
    "DatasetInfo",
    "DatasetReport",
    "ImageItem",
    "LabelledImages",
    "RenderedImage",
    "Scale",
    "Split",
    "check_dataset",
    "dataset_info",
    "list_datasets",
    "load_dataset",
    "make_splits",
    "register_dataset",
    "splits_note",
    "with_split_file",
]
