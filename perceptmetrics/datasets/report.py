"""The report of a check of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from perceptmetrics.datasets.labelled import Scale
from perceptmetrics.datasets.pooled import Pooled
from perceptmetrics.spec import Task

__all__ = ["DatasetReport", "Leak", "RatingReport", "SizeReport"]

TOLERANCE = 1e-6  # fraction of the scale by which rounding in a table may exceed it


@dataclass(frozen=True, kw_only=True)
class RatingReport:
    """One rating of a data set, in the unit of the raters.

    Attributes:
        label: Name of the rating.
        scale: The scale.
        images: Number of images that have the rating.
        least: Lowest rating.
        mean: Mean rating.
        greatest: Highest rating.
    """

    label: str
    scale: Scale
    images: int
    least: float
    mean: float
    greatest: float


@dataclass(frozen=True, kw_only=True)
class SizeReport:
    """Sizes of image files, (width, height) in pixels, before any EXIF orientation is applied.

    Attributes:
        distinct: Number of distinct sizes.
        most_frequent: The most frequent size.
        fraction: Fraction of the images with that size.
        fewest_pixels: The smallest size.
        most_pixels: The largest size.
    """

    distinct: int
    most_frequent: tuple[int, int]
    fraction: float
    fewest_pixels: tuple[int, int]
    most_pixels: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Leak:
    """An overlap between two parts of a split.

    Attributes:
        split: Number of the split, from 1.
        parts: The two parts.
        what: `image`, `group`, `content` (another image with the same bytes) or `picture` (another image that shows the
            same in another format, size or compression).
        names: The images or groups; for content and picture, one image of each part.
    """

    split: int
    parts: tuple[str, str]
    what: str
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DatasetReport:
    """The findings of a check.

    Attributes:
        name: Name of the data set.
        task: Task of the labels.
        images: Number of images with a file.
        expected_images: Number of images in the official release; None if there is no release.
        missing: Names of labelled images without a file.
        missing_accepted: Whether missing images are accepted.
        ratings: Its ratings; empty for classes.
        class_counts: Number of images of each class; empty for ratings.
        groups: Number of groups; None if no content repeats.
        sizes: Sizes of the image files; None if none can be read.
        rendered: Number of images that are not files, whose sizes are not checked.
        unreadable: Names of images whose file is corrupt or not an image, with the reason.
        duplicates: Names of images that are identical byte for byte but in different groups.
        lookalikes: Names of images that show the same, not all of them byte for byte, but are in different groups.
        splits: Number of splits searched for leaks.
        leaks: Overlaps between parts of splits.
        pooled: How the answers of several people became the labels; empty if they did not.
    """

    name: str
    task: Task
    images: int
    expected_images: int | None
    missing: tuple[str, ...]
    missing_accepted: bool
    ratings: tuple[RatingReport, ...]
    class_counts: Mapping[str, int]
    groups: int | None
    sizes: SizeReport | None
    rendered: int
    unreadable: tuple[tuple[str, str], ...]
    duplicates: tuple[tuple[str, ...], ...]
    lookalikes: tuple[tuple[str, ...], ...]
    splits: int
    leaks: tuple[Leak, ...]
    pooled: tuple[Pooled, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence per kind of problem and subject; empty if there are none."""
        found = []
        if self.missing and not self.missing_accepted:
            found.append(f"{len(self.missing)} labelled images have no file.")
        listed = self.images + len(self.missing)
        if self.expected_images is not None and listed != self.expected_images:
            found.append(f"There are labels for {listed} images; the official release has {self.expected_images}.")
        if self.unreadable:
            found.append(f"{len(self.unreadable)} files cannot be read as images.")
        found += [problem for rating in self.ratings for problem in _rating_problems(rating, self.images)]
        found += [f"No image is of the class {label!r}." for label, count in self.class_counts.items() if not count]
        if self.duplicates:
            found.append(f"{len(self.duplicates)} images occur in more than one group, byte for byte.")
        if self.lookalikes:
            found.append(
                f"{len(self.lookalikes)} images occur in more than one group in another format, size or compression."
            )
        found += [
            f"Split {leak.split}: {' and '.join(leak.parts)} overlap ({leak.what}: {len(leak.names)})."
            for leak in self.leaks
        ]
        return tuple(found)


def _rating_problems(rating: RatingReport, images: int) -> list[str]:
    scale = rating.scale
    found = []
    if not rating.images:
        return [f"No image has a rating {rating.label!r}."]
    if rating.images < images:
        found.append(f"{images - rating.images} images have no rating {rating.label!r}.")
    slack = TOLERANCE * (scale.upper - scale.lower)
    if rating.least < scale.lower - slack or rating.greatest > scale.upper + slack:
        found.append(
            f"Ratings {rating.label!r} range from {rating.least:g} to {rating.greatest:g}, beyond their scale of "
            f"{scale.lower:g} to {scale.upper:g}."
        )
    if rating.least == rating.greatest:
        found.append(f"All ratings {rating.label!r} are equal ({rating.least:g}).")
    return found
