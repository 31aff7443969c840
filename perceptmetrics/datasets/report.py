"""What a check of a data set found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from perceptmetrics.datasets.labelled import Scale
from perceptmetrics.spec import Task

__all__ = ["DatasetReport", "Leak", "RatingReport", "SizeReport"]

TOLERANCE = 1e-6  # of the scale: rounding in a table is no rating beyond the end


@dataclass(frozen=True, kw_only=True)
class RatingReport:
    """One rating of a data set, in the units in which people rated.

    Attributes:
        label: What it is called.
        scale: The scale.
        images: How many images have it.
        least: The least.
        mean: Their mean.
        greatest: The greatest.
    """

    label: str
    scale: Scale
    images: int
    least: float
    mean: float
    greatest: float


@dataclass(frozen=True, kw_only=True)
class SizeReport:
    """Sizes of images as their files say, (width, height) in pixels, before any orientation is applied.

    Attributes:
        distinct: How many different sizes there are.
        most_frequent: The size of most images.
        share: Their share.
        fewest_pixels: The smallest.
        most_pixels: The largest.
    """

    distinct: int
    most_frequent: tuple[int, int]
    share: float
    fewest_pixels: tuple[int, int]
    most_pixels: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Something that two parts of a split share.

    Attributes:
        split: Number of the split, from 1.
        parts: The two parts.
        what: `image`, `group` or `content` (another image with the same bytes).
        names: The images or groups; of content, an image of each part.
    """

    split: int
    parts: tuple[str, str]
    what: str
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DatasetReport:
    """What a check found.

    Attributes:
        name: Name of the data set.
        task: What its labels are about.
        images: Number of images with a file.
        expected_images: Number of the official release; None where there is none.
        missing: Names of labelled images without a file.
        missing_accepted: Whether these are no problem.
        ratings: Its ratings; empty for classes.
        class_counts: Images of each class; empty for ratings.
        groups: Number of groups; None when no content repeats.
        sizes: Sizes of the image files; None when none can be read.
        rendered: How many images are not files; their sizes are not looked at.
        unreadable: Names of images whose file is damaged or no image, with the reason.
        duplicates: Names of images that are the same byte for byte but in different groups.
        splits: Number of splits that were searched for leaks.
        leaks: What parts of splits share.
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
    splits: int
    leaks: tuple[Leak, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each kind of problem and what it concerns; empty when all is well."""
        found = []
        if self.missing and not self.missing_accepted:
            found.append(f"{len(self.missing)} labelled images have no file.")
        listed = self.images + len(self.missing)
        if self.expected_images is not None and listed != self.expected_images:
            found.append(f"The labels are about {listed} images; the official release has {self.expected_images}.")
        if self.unreadable:
            found.append(f"{len(self.unreadable)} files cannot be read as images.")
        found += [problem for rating in self.ratings for problem in _rating_problems(rating, self.images)]
        found += [f"No image is of the class {label!r}." for label, count in self.class_counts.items() if not count]
        if self.duplicates:
            found.append(f"{len(self.duplicates)} images occur more than once in different groups, byte for byte.")
        found += [
            f"Split {leak.split}: {' and '.join(leak.parts)} share {len(leak.names)} of: {leak.what}."
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
            f"Ratings {rating.label!r} reach from {rating.least:g} to {rating.greatest:g}, beyond their scale of "
            f"{scale.lower:g} to {scale.upper:g}."
        )
    if rating.least == rating.greatest:
        found.append(f"All ratings {rating.label!r} are equal ({rating.least:g}).")
    return found
