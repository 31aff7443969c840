"""Checks before a training: labels that cannot be right, and test images that show the same as training images."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from perceptmetrics._util.text import printable
from perceptmetrics.datasets.doubts import Doubt, label_doubts
from perceptmetrics.datasets.twins import find_twins
from perceptmetrics.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from perceptmetrics.datasets import LabelledImages, Split
    from perceptmetrics.datasets.twins import ImageIndex

__all__ = ["Overlap", "check_labels", "doubt_text", "find_overlaps", "option_words"]

_log = logging.getLogger(__name__)

NAMED = 3  # pairs in a sentence


def check_labels(datasets: Sequence[LabelledImages]) -> None:
    """Refuse labels that cannot be right, and warn of those that look wrong.

    Raises:
        DatasetError: Labels cannot be right; the message says what was found and which options to state.
    """
    for dataset in datasets:
        for doubt in label_doubts(dataset):
            if doubt.is_error:
                raise DatasetError(doubt_text(dataset, doubt))
            _log.warning("%s", doubt_text(dataset, doubt))


def doubt_text(dataset: LabelledImages, doubt: Doubt) -> str:
    """A doubt with the options that would mend it."""
    words = " ".join(option_words(doubt))
    return printable(f"{dataset.name}: {doubt.text}{f' Such as: {words}' if words else ''}")


def option_words(doubt: Doubt, prefix: str = "") -> list[str]:
    """The options that would mend a doubt, as words of the command line.

    Args:
        doubt: The doubt.
        prefix: What stands before the name of each option, such as that of one data set of several.
    """
    pairs = [(name, value) for name, values in doubt.options.items() for value in values]
    return [word for name, value in pairs for word in ("--option", f"{prefix}{name}={value}")]


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Images that a data set is tested on, and that show the same picture as images that one trains on.

    Attributes:
        trained: Name of the data set that trains on them.
        tested: Name of the data set that is tested with them; the same one if both images are in it.
        split: First split in which this happens, from 0.
        splits: Number of splits in which it happens.
        names: Names of the tested images in the first of these splits.
        twins: For each of them, the name of an image in `trained` that shows the same.
        of: Number of all test images in that split.
    """

    trained: str
    tested: str
    split: int
    splits: int
    names: tuple[str, ...]
    twins: tuple[str, ...]
    of: int

    def __str__(self) -> str:
        also = f"; so in {self.splits} splits" if self.splits > 1 else ""
        if self.trained != self.tested:
            return (
                f"{self.tested} is tested on {len(self.names)} images that {self.trained} trains on (split "
                f"{self.split + 1}: {self.names[0]}, ...){also}: its results will be too good. Leave these images out "
                "of one of the two, or split both in the same way"
            )
        pairs = [f"{name} = {twin}" for name, twin in zip(self.names, self.twins, strict=True)]
        shown = ", ".join(pairs[:NAMED]) + ", ..." * (len(pairs) > NAMED)
        return (
            f"{len(self.names)} of the {self.of} test images of {self.tested} show the same picture as an image that "
            f"it trains on (split {self.split + 1}: {shown}){also}: its results will be too good. Leave one of each "
            "out, or give both the same group (in a CSV, a column that group_column names)"
        )


def find_overlaps(
    datasets: Sequence[LabelledImages],
    splits: Sequence[Sequence[Split]],
    progress: Callable[[], object] | None = None,
) -> tuple[Overlap, ...]:
    """Find test images that show the same as training images, see `perceptmetrics.datasets.twins`.

    Within one data set only another image counts; that a split lists an image twice is for `check_dataset` to find.

    Args:
        datasets: The data sets.
        splits: Splits of each data set; those of the same number are trained and tested together.
        progress: Called for each image file that is looked at.

    Returns:
        At most one overlap for each ordered pair of data sets, and for each data set with itself.
    """
    groups = find_twins(datasets, progress).alike
    group_of = {image: group for group in groups for image in group}
    found = []
    for trained, tested in product(range(len(datasets)), repeat=2):
        pairs = [
            _pairs(group_of, trained, tested, training, testing)
            for training, testing in zip(splits[trained], splits[tested], strict=False)
        ]
        affected = [number for number, of_split in enumerate(pairs) if of_split]
        if affected:
            first = affected[0]
            found.append(
                Overlap(
                    trained=datasets[trained].name,
                    tested=datasets[tested].name,
                    split=first,
                    splits=len(affected),
                    names=tuple(datasets[tested].names[index] for index, _ in pairs[first]),
                    twins=tuple(datasets[trained].names[index] for _, index in pairs[first]),
                    of=len(splits[tested][first].test),
                )
            )
    return tuple(found)


def _pairs(
    group_of: Mapping[ImageIndex, Sequence[ImageIndex]], trained: int, tested: int, training: Split, testing: Split
) -> list[tuple[int, int]]:
    """Test images of a split, each with a training image that shows the same."""
    known = set(training.train.tolist())
    pairs = []
    for image in testing.test.tolist():
        others = group_of.get((tested, image), ())
        twins = (index for data_set, index in others if data_set == trained and index in known)
        twin = next((index for index in twins if (trained, index) != (tested, image)), None)
        if twin is not None:
            pairs.append((image, twin))
    return pairs
