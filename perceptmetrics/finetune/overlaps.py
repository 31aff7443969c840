"""Images on which one data set of a recipe trains and another is tested: the figures of the latter flatter."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
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
    files = [[_file(image) for image in one.images] if len(datasets) > 1 else [] for one in datasets]
    found = []
    for (trained, its_files, its_splits), (tested, files_seen, other_splits) in permutations(
        zip(datasets, files, splits, strict=True), 2
    ):
        for number, (training, testing) in enumerate(zip(its_splits, other_splits, strict=False)):
            known = {its_files[place] for place in training.train} - {None}
            names = tuple(tested.names[place] for place in testing.test if files_seen[place] in known)
            if names:
                found.append(Overlap(trained=trained.name, tested=tested.name, split=number, names=names))
                break
    return tuple(found)


def _file(image: ImageItem) -> tuple[str, str] | None:
    """Folder and name of the file that is shown; None for an image that comes of no file of its own."""
    if isinstance(image, DegradedPhotograph):
        image = image.photograph
    return (_real(str(image.parent)), image.name) if isinstance(image, Path) else None


@lru_cache(maxsize=1024)
def _real(folder: str) -> str:
    """Where a folder really is: data sets are often linked, and a look at every file takes long."""
    return os.path.realpath(folder)
