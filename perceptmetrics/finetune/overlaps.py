"""Images on which one data set of a recipe trains and another is tested: the figures of the latter flatter."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics.datasets.degraded import DegradedPhotograph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.datasets import ImageItem, LabelledImages, Split

__all__ = ["Overlap", "find_overlaps"]


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Images that a model is tested with after it was trained on them.

    Attributes:
        trained: Name of the data set that trains on them.
        tested: Name of the data set that is tested with them.
        split: The first split in which that is so, from 0.
        names: What the tested data set calls them in that split.
    """

    trained: str
    tested: str
    split: int
    names: tuple[str, ...]


def find_overlaps(datasets: Sequence[LabelledImages], splits: Sequence[Sequence[Split]]) -> tuple[Overlap, ...]:
    """Look for files that are for training in one data set and for test in another.

    A degraded photograph counts as its photograph.

    Args:
        datasets: The data sets.
        splits: Of each data set; split number k of one is trained and tested together with number k of the others.

    Returns:
        One for each two data sets, at most.
    """
    files = [[_file(image) for image in one.images] for one in datasets] if len(datasets) > 1 else []
    found = []
    for trained, tested in permutations(range(len(files)), 2):
        for number, (training, testing) in enumerate(zip(splits[trained], splits[tested], strict=False)):
            seen = {files[trained][place] for place in training.train} - {None}
            names = tuple(datasets[tested].names[place] for place in testing.test if files[tested][place] in seen)
            if names:
                names_of = (datasets[trained].name, datasets[tested].name)
                found.append(Overlap(trained=names_of[0], tested=names_of[1], split=number, names=names))
                break
    return tuple(found)


def _file(image: ImageItem) -> str | None:
    """The file that is shown; None for an image that comes of no file of its own."""
    if isinstance(image, DegradedPhotograph):
        image = image.photograph
    return os.path.abspath(image) if isinstance(image, Path) else None  # noqa: PTH100 - resolving links is slow
