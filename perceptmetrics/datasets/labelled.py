"""Images with human labels, common to all data sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from perceptmetrics.datasets.pooled import Pooled
from perceptmetrics.errors import DatasetError
from perceptmetrics.spec import Task

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ImageItem", "LabelledImages", "RenderedImage", "Scale", "Split"]


@runtime_checkable
class RenderedImage(Protocol):
    """An image that is rendered when it is needed, such as a degraded photograph."""

    @property
    def identity(self) -> str:
        """Text that is equal for two images if and only if their pixels are equal."""

    def render(self) -> Tensor:
        """Render the pixels: shape (3, H, W), uint8, RGB."""


ImageItem: TypeAlias = Path | RenderedImage


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The scale on which people rated.

    Attributes:
        lower: Its lower end.
        upper: Its upper end.
        higher_is_better: Whether the upper end is the good one; for most differential scores (DMOS) it is not.
    """

    lower: float
    upper: float
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        if not self.lower < self.upper:
            raise DatasetError(
                f"The lower end of a scale must be below its upper end, got {self.lower:g} and {self.upper:g}."
            )

    def normalise(self, ratings: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map ratings to [0, 1] with 1 as the good end; NaN stays NaN."""
        fractions = (ratings - self.lower) / (self.upper - self.lower)
        return fractions if self.higher_is_better else 1 - fractions

    def restore(self, fractions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Invert `normalise`."""
        fractions = fractions if self.higher_is_better else 1 - fractions
        return self.lower + fractions * (self.upper - self.lower)


@dataclass(frozen=True, kw_only=True)
class Split:
    """The parts of a split, as indices into a `LabelledImages`.

    Attributes:
        train: For training.
        validation: For selection: the learning rate, when to stop.
        test: For the reported statistics.
    """

    train: NDArray[np.intp]
    validation: NDArray[np.intp]
    test: NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """A data set: N images with ratings or classes.

    Attributes:
        name: Name of the data set.
        task: Task of the labels.
        images: The N images.
        names: Their unique names in the data set.
        labels: Names of the K ratings, or of the classes.
        ratings: Shape (N, K), normalised to [0, 1] with 1 as the good end; NaN if missing. None for classes.
        scales: The K scales on which people rated.
        classes: Shape (N,), indices into `labels`; None for ratings.
        positive_labels: For classes that are emotions, the pleasant ones.
        groups: Group of each image, such as its content; splits keep groups together. None if no content repeats.
        ranks_within_groups: Whether ratings are comparable only within a group, like degradations of one photograph.
        contents: Content of each image if several groups have the same content; splits keep contents together. None if
            splits only keep groups together.
        test_only: Shape (N,), whether an image is never trained on. None if all may be.
        official_splits: The published splits; may be empty.
        missing: Names of labelled images without a file that were skipped.
        pooled: For labels that the answers of several people were made into: how, for each of the K ratings, or once
            for classes. Empty otherwise.
    """

    name: str
    task: Task
    images: tuple[ImageItem, ...]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    ratings: NDArray[np.float64] | None = None
    scales: tuple[Scale, ...] = ()
    classes: NDArray[np.intp] | None = None
    positive_labels: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = None
    ranks_within_groups: bool = False
    contents: tuple[str, ...] | None = None
    test_only: NDArray[np.bool_] | None = None
    official_splits: tuple[Split, ...] = ()
    missing: tuple[str, ...] = ()
    pooled: tuple[Pooled, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.images)
        if count == 0:
            raise DatasetError(f"{self.name}: there are no images.")
        if (self.ratings is None) == (self.classes is None):
            raise DatasetError(f"{self.name}: expected either ratings or classes.")
        shape = (count,) if self.ratings is None else (count, len(self.labels))
        labels = self.classes if self.ratings is None else self.ratings
        if labels is None or labels.shape != shape or len(self.names) != count:
            raise DatasetError(f"{self.name}: expected a name and a label for each of {count} images, shape {shape}.")
        if self.ratings is not None and len(self.scales) != len(self.labels):
            raise DatasetError(f"{self.name}: expected a scale for each of the ratings {self.labels}.")
        if len(set(self.names)) != count:
            repeated = next(name for name in self.names if self.names.count(name) > 1)
            raise DatasetError(f"{self.name}: the image {repeated!r} occurs more than once.")
        for what, values in (("group", self.groups), ("content", self.contents), ("test_only", self.test_only)):
            if values is not None and len(values) != count:
                raise DatasetError(f"{self.name}: expected a {what} for each of {count} images, got {len(values)}.")
        pooled = 1 if self.ratings is None else len(self.labels)
        if self.pooled and [len(one.counts) for one in self.pooled] != [count] * pooled:
            raise DatasetError(f"{self.name}: expected how each label was pooled, for each of {count} images.")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def inseparable(self) -> tuple[str, ...] | None:
        """Key of each image; splits keep images with equal keys together. None if every image is independent."""
        return self.groups if self.contents is None else self.contents

    @property
    def trainable(self) -> NDArray[np.intp]:
        """Indices of the images that may be trained on."""
        return np.arange(len(self)) if self.test_only is None else np.flatnonzero(~self.test_only)
