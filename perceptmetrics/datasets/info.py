"""What is known of a data set before its files are read."""

from __future__ import annotations

from dataclasses import dataclass

from perceptmetrics.spec import Task

__all__ = ["DatasetInfo"]


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """A data set's card, and how the papers split it.

    Attributes:
        name: What `load_dataset` calls it.
        title: What its authors call it.
        task: What its labels are about.
        paper: Authors, title, where it appeared.
        licence: Terms of use, as far as the release states them.
        obtain: Where it comes from.
        scale: Scale and direction of the labels, in words.
        splits: How it is split, in words.
        images: Number of labelled images in the official release; None where there is none.
        split_count: How many splits the papers draw or read.
        test_share: Share of the images that the papers test on.
        validation_share: Share of the rest that the papers keep for validation.
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
    test_share: float = 0.2
    validation_share: float = 0.1
