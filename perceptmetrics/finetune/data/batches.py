"""The data sets of a training: their splits, and the batches of an epoch.

Batches hold indices only, and depend on the seed and the number of the epoch alone. With several data sets, each batch
is composed in proportion to their sizes (PerceptCLIP, section 4.3): each data set is spread evenly over the batches of
the epoch. Batches grow until each data set has as many samples in them as its loss needs: a correlation of one or two
samples has no gradient.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets import LabelledImages, Split, make_splits, splits_note
from perceptmetrics.errors import DatasetError
from perceptmetrics.finetune.data.feeds import Feed
from perceptmetrics.finetune.data.objectives import Objective

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from perceptmetrics.finetune.recipe import Recipe

__all__ = [
    "Batch",
    "Draw",
    "TrainingSet",
    "batch_count",
    "batch_parts",
    "epoch_batches",
    "recipe_splits",
    "split_notes",
    "training_units",
]

MOST_GROWTH = 16  # times the size of a batch
COMPARABLE, NOISY = 3, 8  # samples from which a correlation has a gradient, and one that is worth following

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """A data set with its split, loss and sampling.

    Attributes:
        dataset: The images.
        split: Its training, validation and test images.
        feed: Source of its samples.
        objective: Its loss.
        weight: Factor of the loss.
        replicas: How often an epoch shows each image.
    """

    dataset: LabelledImages
    split: Split
    feed: Feed
    objective: Objective
    weight: float
    replicas: int


def split_notes(recipe: Recipe, datasets: Sequence[LabelledImages]) -> list[str]:
    """Say where a run has other splits than the recipe asks for: fewer, others, or not as many for each data set."""
    asked = recipe.splits
    notes = [splits_note(dataset, asked.count, official=asked.official) for dataset in datasets]
    counts = [len(dataset.official_splits) if asked.official else 0 for dataset in datasets]
    each = [min(count, asked.count) if count else asked.count for count in counts]
    if min(each) < max(each):
        several = ", ".join(f"{count} of {one.name}" for count, one in zip(each, datasets, strict=True))
        notes.append(
            f"the data sets have different numbers of splits ({several}), so only the first {min(each)} of each are "
            "trained; splits.official=false draws as many for all, and --splits gives lists of one's own"
        )
    return [note for note in notes if note]


def recipe_splits(recipe: Recipe, dataset: LabelledImages) -> tuple[Split, ...]:
    """Split a data set as a recipe says. There may be fewer published splits than it asks for."""
    splits = recipe.splits
    return make_splits(
        dataset,
        splits.count,
        seed=recipe.seed,
        test=splits.test,
        validation=splits.validation,
        official=splits.official,
    )


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One appearance of an image in an epoch.

    Attributes:
        index: Index of the image.
        seed: Seed of its augmentation.
    """

    index: int
    seed: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch.

    Attributes:
        parts: What it shows of each data set; may be empty.
    """

    parts: tuple[tuple[Draw, ...], ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))


def training_units(indices: NDArray[np.intp], groups: Sequence[str] | None) -> list[NDArray[np.intp]]:
    """Divide images into the units that are sampled as a whole.

    Args:
        indices: The images.
        groups: Group of each image, if images are comparable only within a group; None otherwise.

    Returns:
        Indices of each unit: the members of a group, or single images.
    """
    if groups is None:
        return [indices[start : start + 1] for start in range(len(indices))]
    members: dict[str, list[int]] = {}
    for index in indices.tolist():
        members.setdefault(groups[index], []).append(index)
    return [np.array(found, dtype=np.intp) for found in members.values()]


def batch_count(shown: Sequence[int], batch_size: int, fewest: Sequence[int]) -> int:
    """The number of batches of an epoch.

    Args:
        shown: Samples of each data set in an epoch; each replica of an image counts.
        batch_size: Samples of a batch.
        fewest: Samples of each data set that a batch of several data sets is to hold at least.

    Returns:
        As many batches as samples of `batch_size` give; fewer, larger ones where a data set would otherwise have too
        few samples in each.

    Raises:
        DatasetError: Batches would have to be more than `MOST_GROWTH` times as large.
    """
    count = max(1, -(-sum(shown) // batch_size))
    if len(shown) == 1:
        return count
    comparing = [(number, least) for number, least in zip(shown, fewest, strict=True) if number and least > 1]
    grown = min([count, *(max(1, number // least) for number, least in comparing)])
    if count > grown * MOST_GROWTH:
        raise DatasetError(
            f"The data sets differ so much in size ({', '.join(map(str, shown))} samples an epoch) that a batch with "
            f"{max(fewest)} samples of the smallest one would hold {sum(shown) // grown}. Show its images more often "
            "(data: [{name: ..., augmentation: {replicas: 10}}]), raise optimizer.batch_size, or lower "
            "optimizer.min_samples."
        )
    return grown


def batch_parts(
    recipe: Recipe, datasets: Sequence[LabelledImages], splits: Sequence[Split]
) -> tuple[int, dict[str, tuple[int, int]]]:
    """How an epoch is divided into batches while all data sets are trained together.

    Args:
        recipe: The recipe.
        datasets: Its data sets.
        splits: A split of each.

    Returns:
        The number of batches, and by name the fewest and the most samples of each data set in one.

    Raises:
        DatasetError: A loss that compares samples would get fewer than three, or the data sets differ too much in size.
    """
    objectives = [
        Objective(one, entry.loss or recipe.loss, recipe.confidence)
        for one, entry in zip(datasets, recipe.data, strict=True)
    ]
    fewest = [objective.fewest(recipe.optimizer.min_samples) for objective in objectives]
    shown = [recipe.augmentation_of(index).replicas * len(split.train) for index, split in enumerate(splits)]
    count = batch_count(shown, recipe.optimizer.batch_size, fewest)
    parts = {one.name: (number // count, -(-number // count)) for one, number in zip(datasets, shown, strict=True)}
    for objective, (name, (_, most)) in zip(objectives, parts.items(), strict=True):
        if most < objective.fewest(COMPARABLE):
            raise DatasetError(
                f"{name}: a batch holds {most} samples, but the loss compares samples with each other and needs "
                f"{COMPARABLE} at least. Raise optimizer.batch_size, or use the loss mse."
            )
        if most < objective.fewest(NOISY):
            _log.warning(
                "%s: a batch holds %d samples; the loss compares them with each other, which is noisy below %d. Raise "
                "optimizer.batch_size.",
                name,
                most,
                NOISY,
            )
    return count, parts


def epoch_batches(
    units: Sequence[Sequence[NDArray[np.intp]]],
    *,
    batch_size: int,
    replicas: Sequence[int],
    seed: Sequence[int],
    epoch: int,
    fewest: Sequence[int] | None = None,
) -> list[Batch]:
    """Divide an epoch into batches.

    Args:
        units: Units of each data set, see `training_units`.
        batch_size: Approximate number of samples of a batch; a unit is never divided.
        replicas: For each data set, how often the epoch shows each unit.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.
        fewest: For each data set, the samples that a batch of several data sets is to hold at least; None for 1.

    Returns:
        Batches of nearly equal size.

    Raises:
        DatasetError: The data sets differ too much in size, see `batch_count`.
    """
    shown = [times * sum(map(len, data_set)) for times, data_set in zip(replicas, units, strict=True)]
    count = batch_count(shown, batch_size, fewest or [1] * len(units))
    parts = [
        _spread(data_set, count, times, (*seed, epoch, number))
        for number, (times, data_set) in enumerate(zip(replicas, units, strict=True))
    ]
    return [batch for of_batch in zip(*parts, strict=True) if len(batch := Batch(parts=of_batch))]


def _spread(
    units: Sequence[NDArray[np.intp]], count: int, replicas: int, seed: tuple[int, ...]
) -> list[tuple[Draw, ...]]:
    """Spread the units of one data set evenly, in random order, over `count` batches."""
    shown = [(unit, replica) for replica in range(replicas) for unit in units]
    order = np.random.default_rng(seed).permutation(len(shown))
    return [
        tuple(
            Draw(index=int(index), seed=(*seed, int(index), shown[position][1]))
            for position in positions
            for index in shown[position][0]
        )
        for positions in np.split(order, [len(order) * batch // count for batch in range(1, count)])
    ]
