"""Combine the labels of a data set and the files that were found into `LabelledImages`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from perceptmetrics._util.text import printable
from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import ImageItem, LabelledImages, Scale, Split
from perceptmetrics.datasets.pooled import Pooled
from perceptmetrics.errors import DatasetError, InvalidOptionError, nearest_names
from perceptmetrics.spec import Task

__all__ = ["Listing", "Missing", "assemble", "check_missing"]

Missing: TypeAlias = Literal["error", "skip"]
"""How to treat a labelled image without a file: raise an error, or skip it."""

NAMED = 5  # missing files named in a message


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The labels of a data set, including those of missing images.

    Attributes:
        info: Facts about the data set.
        names: Names of all N labelled images.
        images: The images; None where missing.
        labels: Names of the K ratings, or of the classes.
        ratings: Shape (N, K), raw ratings; None for classes.
        scales: The K scales.
        classes: Shape (N,), indices into `labels`; None for ratings.
        positive_labels: See `LabelledImages`.
        groups: See `LabelledImages`.
        official_splits: Indices into the N images.
        task: Task of the labels, if it differs from that of `info`.
        ranks_within_groups: See `LabelledImages`.
        pooled: See `LabelledImages`.
    """

    info: DatasetInfo
    names: tuple[str, ...]
    images: tuple[ImageItem | None, ...]
    labels: tuple[str, ...]
    ratings: NDArray[np.float64] | None = None
    scales: tuple[Scale, ...] = ()
    classes: NDArray[np.intp] | None = None
    positive_labels: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = None
    official_splits: tuple[Split, ...] = ()
    task: Task | None = None
    ranks_within_groups: bool = False
    pooled: tuple[Pooled, ...] = ()

    def only(self, kept: NDArray[np.bool_]) -> Listing:
        """The images of which a mask of shape (N,) is true."""
        indices = np.flatnonzero(kept)
        return replace(
            self,
            names=tuple(self.names[index] for index in indices),
            images=tuple(self.images[index] for index in indices),
            ratings=None if self.ratings is None else self.ratings[indices],
            classes=None if self.classes is None else self.classes[indices],
            groups=None if self.groups is None else tuple(self.groups[index] for index in indices),
            official_splits=tuple(_renumber(split, kept) for split in self.official_splits),
            pooled=tuple(one.of(indices) for one in self.pooled),
        )


def check_missing(missing: str) -> None:
    """Refuse values other than `error` and `skip`.

    Raises:
        InvalidOptionError: The value is another one.
    """
    if missing not in get_args(Missing):
        raise InvalidOptionError(
            f"missing must be 'error' or 'skip', got {missing!r}. {nearest_names(str(missing), get_args(Missing))}"
        )


def assemble(listing: Listing, missing: Missing) -> LabelledImages:
    """Normalise the ratings, and skip or report missing images.

    Args:
        listing: The data set.
        missing: How to treat labelled images without a file.

    Returns:
        The images that exist.

    Raises:
        DatasetError: An image is missing and `missing` is `error`, or all images are missing.
    """
    there = np.array([image is not None for image in listing.images], dtype=bool)
    absent = tuple(name for name, present in zip(listing.names, there, strict=True) if not present)
    if len(absent) == len(listing.names) or (absent and missing == "error"):
        raise DatasetError(_complaint(listing, absent))
    found = listing.only(there)
    ratings = None
    if found.ratings is not None:
        columns = zip(found.ratings.T, found.scales, strict=True)
        ratings = np.stack([scale.normalise(column) for column, scale in columns], axis=1)
    return LabelledImages(
        name=found.info.name,
        task=found.task or found.info.task,
        images=tuple(image for image in found.images if image is not None),
        names=found.names,
        labels=found.labels,
        ratings=ratings,
        scales=found.scales,
        classes=found.classes,
        positive_labels=found.positive_labels,
        groups=found.groups,
        ranks_within_groups=found.ranks_within_groups,
        official_splits=found.official_splits,
        missing=absent,
        pooled=found.pooled,
    )


def _renumber(split: Split, there: NDArray[np.bool_]) -> Split:
    new_index = np.cumsum(there) - 1

    def renumber(part: NDArray[np.intp]) -> NDArray[np.intp]:
        return new_index[part[there[part]]].astype(np.intp)

    return Split(train=renumber(split.train), validation=renumber(split.validation), test=renumber(split.test))


def _complaint(listing: Listing, absent: tuple[str, ...]) -> str:
    shown = ", ".join(map(printable, absent[:NAMED])) + (", ..." if len(absent) > NAMED else "")
    fix = f"Complete the download ({listing.info.obtain})"
    if len(absent) < len(listing.names):
        fix += ", or pass missing='skip' to continue without them"
    return f"{listing.info.name}: {len(absent)} of {len(listing.names)} labelled images are missing: {shown}. {fix}."
