"""Facts about a data set that are known before its files are read."""

from __future__ import annotations

from dataclasses import dataclass

from perceptmetrics.spec import Task

__all__ = ["DatasetInfo"]


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """Facts about a data set and how the papers split it.

    Attributes:
        name: Name for `load_dataset`.
        title: The authors' name of the data set.
        task: Task of the labels.
        paper: Authors, title and venue.
        licence: Terms of use, as far as the release states them.
        obtain: Where to get it.
        scale: Scale and direction of the labels, in words.
        splits: How it is split, in words.
        images: Number of labelled images in the official release; None if there is no release.
        split_count: Number of splits that the papers use.
        test_fraction: Fraction of the images that the papers test on.
        validation_fraction: Fraction of the other images that the papers use for validation.
    """

    name: str
    title: str
    task: Task
    paper: str
    licence: str
    obtain: str
    scale: str
    splits: str
    images: int | None = None
    split_count: int = 10
    test_fraction: float = 0.2
    validation_fraction: float = 0.1
