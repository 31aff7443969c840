"""Split a data set: the published splits if there are any, otherwise random splits from a seed.

Source of the fractions: PerceptCLIP (TMLR 2025) draws ten random 80/20 splits for quality, by reference image if
content repeats, and uses 10 % of train for validation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.labelled import LabelledImages, Split
from perceptmetrics.errors import DatasetError, InvalidOptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["make_splits", "splits_note"]


def make_splits(
    dataset: LabelledImages,
    count: int = 10,
    *,
    seed: int = 0,
    test: float = 0.2,
    validation: float = 0.1,
    official: bool = True,
) -> tuple[Split, ...]:
    """Divide a data set into training, validation and test images.

    Images of one group or content stay together. Every class is divided in the same fractions. Images for testing only
    are in no train or validation part. Split k depends on the seed, on k and on the names of the images (or groups),
    not on `count` or the order of the images, and is the same on every machine.

    Args:
        dataset: The data set.
        count: Number of splits; at most the number of published splits, if these are used.
        seed: Seed of the random splits.
        test: Fraction of the images for testing.
        validation: Fraction of the other images for validation; 0 for none.
        official: Whether to use the published splits if there are any. A published split without a validation part
            gets one that is drawn from its train part.

    Returns:
        The splits.

    Raises:
        InvalidOptionError: A number is out of range.
        DatasetError: There are too few images or groups to split.
    """
    if count < 1 or seed < 0 or not 0 < test < 1 or not 0 <= validation < 1:
        raise InvalidOptionError(
            "Expected count of 1 or more, seed of 0 or more, test between 0 and 1 and validation of 0 or more and "
            f"below 1, got count={count}, seed={seed}, test={test:g}, validation={validation:g}."
        )
    if official and dataset.official_splits:
        numbered = enumerate(dataset.official_splits[:count])
        splits = [_with_validation(dataset, split, (seed, number), validation) for number, split in numbered]
    else:
        splits = [_draw(dataset, (seed, number), test, validation) for number in range(count)]
    return tuple(_without_test_only(dataset, split) for split in splits)


def splits_note(dataset: LabelledImages, count: int, *, official: bool = True) -> str:
    """Say how the number of splits, or their source, differs from what one may expect.

    Args:
        dataset: The data set.
        count: Number of splits that `make_splits` is asked for.
        official: Whether it uses the published splits.

    Returns:
        A sentence without its point; empty if `count` splits are drawn, or if as many are published.
    """
    published = len(dataset.official_splits)
    splits = f"{published} given split{'s' * (published != 1)}"
    if not published or (official and published == count):
        return ""
    if not official:
        return f"{dataset.name}: its {splits} {'are' if published > 1 else 'is'} not used; others are drawn"
    if published < count:
        return f"{dataset.name}: it has {splits}, so results are over {published}, not over {count}"
    return f"{dataset.name}: of its {splits} the first {'one is' if count == 1 else f'{count} are'} used"


def _without_test_only(dataset: LabelledImages, split: Split) -> Split:
    """Remove images for testing only from the train and validation parts."""
    if dataset.test_only is None:
        return split
    train, validation = (part[~dataset.test_only[part]] for part in (split.train, split.validation))
    return Split(train=train, validation=validation, test=split.test)


def _draw(dataset: LabelledImages, entropy: tuple[int, int], test: float, validation: float) -> Split:
    everything = np.arange(len(dataset), dtype=np.intp)
    rest, tested = _divide(dataset, everything, entropy, test)
    return _with_validation(dataset, Split(train=rest, validation=rest[:0], test=tested), entropy, validation)


def _with_validation(dataset: LabelledImages, split: Split, entropy: tuple[int, int], fraction: float) -> Split:
    if fraction == 0 or len(split.validation):
        return split
    # An independent stream: the order that chose the test images must not affect the others.
    train, validation = _divide(dataset, split.train, (*entropy, 1), fraction)
    return Split(train=train, validation=validation, test=split.test)


def _divide(
    dataset: LabelledImages, indices: NDArray[np.intp], entropy: tuple[int, ...], fraction: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Divide images into the rest and about `fraction` of them, both in ascending order."""
    members: dict[str, list[int]] = {}
    keys = dataset.inseparable or dataset.names
    for index in indices:
        members.setdefault(keys[index], []).append(int(index))
    taken: list[int] = []
    strata = _strata(dataset, _shuffled(members, entropy), members)
    for groups in strata:
        sizes = np.array([len(members[group]) for group in groups])
        for group in groups[: _prefix(sizes, fraction, at_least=1 if len(strata) == 1 else 0)]:
            taken += members[group]
    chosen = np.array(sorted(taken), dtype=np.intp)
    rest = np.setdiff1d(indices, chosen)
    if not len(chosen) or not len(rest):
        what = "images" if dataset.inseparable is None else "groups of images"
        raise DatasetError(f"{dataset.name}: {len(members)} {what} are too few to set {fraction:.0%} of them apart.")
    return rest, chosen


def _shuffled(names: dict[str, list[int]], entropy: tuple[int, ...]) -> list[str]:
    """The names in random order.

    NumPy guarantees the raw stream of a bit generator across versions, but not `Generator.permutation`.
    """
    ordered = sorted(names)
    keys = np.random.PCG64(np.random.SeedSequence(entropy)).random_raw(len(ordered))
    return [ordered[index] for index in np.argsort(keys, kind="stable")]


def _strata(dataset: LabelledImages, groups: list[str], members: dict[str, list[int]]) -> list[list[str]]:
    """The groups by class: the most frequent class of each group."""
    if dataset.classes is None:
        return [groups]
    strata: dict[int, list[str]] = {}
    for group in groups:
        counts = np.bincount(dataset.classes[members[group]])
        strata.setdefault(int(counts.argmax()), []).append(group)
    return [strata[label] for label in sorted(strata)]


def _prefix(sizes: NDArray[np.intp], fraction: float, at_least: int) -> int:
    """Number of first groups (not all of them) that come nearest to `fraction` of all images."""
    reached = np.concatenate([[0], np.cumsum(sizes)])
    candidates = reached[at_least:-1]
    return at_least + int(np.abs(candidates - fraction * reached[-1]).argmin()) if len(candidates) else 0
