"""Images with human labels, whatever data set they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from perceptmetrics.errors import DatasetError
from perceptmetrics.spec import Task

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ImageItem", "LabelledImages", "RenderedImage", "Scale", "Split"]


@runtime_checkable
class RenderedImage(Protocol):
    """An image that is made when it is needed, such as a degraded photograph."""

    @property
    def identity(self) -> str:
        """Text that is the same exactly when the pixels are the same."""

    def render(self) -> Tensor:
        """The pixels: shape (3, H, W), uint8, RGB."""


ImageItem: TypeAlias = Path | RenderedImage


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The scale on which people rated.

    Attributes:
        lower: Its lower end.
        upper: Its upper end.
        higher_is_better: Whether the upper end is the good one; differential scores (DMOS) of distortion are not so.
    """

    lower: float
    upper: float
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        if not self.lower < self.upper:
            raise DatasetError(f"A scale needs its lower end below its upper, got {self.lower:g} and {self.upper:g}.")

    def normalise(self, ratings: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bring ratings to [0, 1], where 1 is the good end; NaN stays."""
        shares = (ratings - self.lower) / (self.upper - self.lower)
        return shares if self.higher_is_better else 1 - shares

    def restore(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take `normalise` back."""
        shares = shares if self.higher_is_better else 1 - shares
        return self.lower + shares * (self.upper - self.lower)


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which images are for what, as indices into a `LabelledImages`.

    Attributes:
        train: For training.
        validation: For choosing: the learning rate, when to stop.
        test: For the figures that are reported.
    """

    train: NDArray[np.intp]
    validation: NDArray[np.intp]
    test: NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """A data set: N images with ratings or classes.

    Attributes:
        name: Name of the data set.
        task: What its labels are about.
        images: The N images.
        names: What the data set calls them; no two are equal.
        labels: Names of the K ratings, or of the classes.
        ratings: Shape (N, K), brought to [0, 1] where 1 is the good end; NaN where there is none. None for classes.
        scales: The K scales on which people rated.
        classes: Shape (N,), indices into `labels`; None for ratings.
        positive_labels: Of classes that are emotions: the pleasant ones.
        groups: What the content of each image is called; images of a group never part in a split. None when no
            content repeats.
        ranks_within_groups: Whether ratings can be compared within a group only, as those of degradations of one
            photograph.
        contents: Where several groups show the same, what that is called: they never part in a split. None when it
            is the groups that must not.
        test_only: Shape (N,), images that are never trained on, whatever the split. None when there are none.
        official_splits: The published splits; empty when there are none.
        missing: Names of labelled images without a file, when those were to be skipped.
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

    def __post_init__(self) -> None:
        count = len(self.images)
        if count == 0:
            raise DatasetError(f"{self.name}: there are no images.")
        if (self.ratings is None) == (self.classes is None):
            raise DatasetError(f"{self.name}: images have either ratings or classes.")
        shape = (count,) if self.ratings is None else (count, len(self.labels))
        labels = self.classes if self.ratings is None else self.ratings
        if labels is None or labels.shape != shape or len(self.names) != count:
            raise DatasetError(f"{self.name}: expected a name and a label of each of {count} images, shape {shape}.")
        if self.ratings is not None and len(self.scales) != len(self.labels):
            raise DatasetError(f"{self.name}: expected a scale for each of the ratings {self.labels}.")
        if len(set(self.names)) != count:
            repeated = next(name for name in self.names if self.names.count(name) > 1)
            raise DatasetError(f"{self.name}: the image {repeated!r} occurs more than once.")
        for what, values in (("group", self.groups), ("content", self.contents), ("test_only", self.test_only)):
            if values is not None and len(values) != count:
                raise DatasetError(f"{self.name}: expected a {what} of each of {count} images, got {len(values)}.")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def inseparable(self) -> tuple[str, ...] | None:
        """What the images that never part in a split have in common; None when every image stands for itself."""
        return self.groups if self.contents is None else self.contents

    @property
    def trainable(self) -> NDArray[np.intp]:
        """The images that may be trained on."""
        return np.arange(len(self)) if self.test_only is None else np.flatnonzero(~self.test_only)
