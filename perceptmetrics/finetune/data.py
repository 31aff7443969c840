"""The data sets of a training: their splits, images that two of them share, and the batches of an epoch.

Batches are pure indices, drawn from the seed and the number of the epoch alone. With several data sets, each batch is
composed in proportion to their sizes (PerceptCLIP, section 4.3): every one of them is dealt out evenly over the batches
of the epoch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets import LabelledImages, Split, make_splits
from perceptmetrics.datasets.degraded import DegradedPhotograph
from perceptmetrics.finetune.feeds import Feed
from perceptmetrics.finetune.objectives import Objective

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from perceptmetrics.datasets import ImageItem
    from perceptmetrics.finetune.recipe import Recipe

__all__ = [
    "Batch",
    "Draw",
    "Overlap",
    "TrainingSet",
    "epoch_batches",
    "find_overlaps",
    "recipe_splits",
    "training_units",
]


def recipe_splits(recipe: Recipe, dataset: LabelledImages) -> tuple[Split, ...]:
    """Divide a data set as a recipe says; published splits may be fewer than it asks for."""
    wanted = recipe.splits
    return make_splits(
        dataset,
        wanted.count,
        seed=recipe.seed,
        test=wanted.test,
        validation=wanted.validation,
        official=wanted.official,
    )


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


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One showing of an image.

    Attributes:
        index: The image.
        seed: What its variation is drawn from.
    """

    index: int
    seed: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch.

    Attributes:
        parts: For each data set, what is shown of it; may be empty.
    """

    parts: tuple[tuple[Draw, ...], ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))


def training_units(indices: NDArray[np.intp], groups: Sequence[str] | None) -> list[NDArray[np.intp]]:
    """What is drawn as a whole: single images, or the groups inside which alone images can be compared."""
    if groups is None:
        return [indices[place : place + 1] for place in range(len(indices))]
    members: dict[str, list[int]] = {}
    for index in indices.tolist():
        members.setdefault(groups[index], []).append(index)
    return [np.array(found, dtype=np.intp) for found in members.values()]


def epoch_batches(
    units: Sequence[Sequence[NDArray[np.intp]]],
    *,
    batch_size: int,
    replicas: Sequence[int],
    seed: Sequence[int],
    epoch: int,
) -> list[Batch]:
    """Deal an epoch out.

    Args:
        units: For each data set, what is drawn as a whole, see `training_units`.
        batch_size: Most samples of a batch, about: a unit is never cut.
        replicas: For each data set, how often each unit is shown.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.

    Returns:
        The batches, of nearly equal size.
    """
    total = sum(times * sum(map(len, data_set)) for times, data_set in zip(replicas, units, strict=True))
    count = max(1, -(-total // batch_size))
    dealt = [
        _deal(data_set, count, times, (*seed, epoch, number))
        for number, (times, data_set) in enumerate(zip(replicas, units, strict=True))
    ]
    return [batch for parts in zip(*dealt, strict=True) if len(batch := Batch(parts=parts))]


def _deal(
    units: Sequence[NDArray[np.intp]], count: int, replicas: int, seed: tuple[int, ...]
) -> list[tuple[Draw, ...]]:
    shown = [(unit, replica) for replica in range(replicas) for unit in units]
    order = np.random.default_rng(seed).permutation(len(shown))
    return [
        tuple(
            Draw(index=int(index), seed=(*seed, int(index), shown[place][1]))
            for place in places
            for index in shown[place][0]
        )
        for places in np.split(order, [len(order) * place // count for place in range(1, count)])
    ]


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """A data set with its share of a training.

    Attributes:
        dataset: The images.
        split: Which are for what.
        feed: Where their samples come from.
        objective: Their loss.
        weight: Factor of the loss.
        replicas: How often an image is shown in an epoch.
    """

    dataset: LabelledImages
    split: Split
    feed: Feed
    objective: Objective
    weight: float
    replicas: int
