"""Labels of images from the answers of several people, whichever file they came in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.raters import Repeats, Ties, pool_classes, pool_ratings
from perceptmetrics.datasets.rating_scales import rating_scales
from perceptmetrics.errors import InvalidOptionError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perceptmetrics.datasets.listing import Listing
    from perceptmetrics.datasets.raters import Answers
    from perceptmetrics.datasets.rating_scales import Ends

__all__ = ["known_labels", "with_mean_ratings", "with_most_votes"]


def with_mean_ratings(
    listing: Listing,
    answers: Answers,
    ratings: Mapping[str, Sequence[float]],
    ends: Ends,
    *,
    repeats: Repeats,
    notes: tuple[str, ...] = (),
) -> Listing:
    """Give the images of a listing, which are `answers.names`, the mean of their ratings."""
    means, pooled = pool_ratings(answers, ratings, repeats=repeats, notes=notes)
    return replace(
        listing,
        labels=tuple(ratings),
        ratings=means,
        scales=rating_scales(ratings, ends),
        task=listing.task or ("attribute" if len(ratings) > 1 else "quality"),
        pooled=pooled,
    )


def with_most_votes(
    listing: Listing,
    answers: Answers,
    classes: Sequence[str],
    *,
    positive_labels: Sequence[str],
    repeats: Repeats,
    ties: Ties,
    notes: tuple[str, ...] = (),
) -> Listing:
    """Give the images of a listing, which are `answers.names`, the class with the most votes; ties are left out."""
    labels, winners, pooled = pool_classes(answers, classes, repeats=repeats, ties=ties, notes=notes)
    labelled = replace(
        listing,
        labels=labels,
        classes=winners,
        positive_labels=known_labels(positive_labels, labels),
        task=listing.task or "emotion",
        pooled=(pooled,),
    )
    return labelled.only(np.asarray(winners >= 0))


def known_labels(positive_labels: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """The classes that a user calls positive.

    Raises:
        InvalidOptionError: One of them is no class.
    """
    positive = (positive_labels,) if isinstance(positive_labels, str) else tuple(positive_labels)
    for label in positive:
        if label not in labels:
            raise InvalidOptionError(f"positive_labels: there is no class {label!r}. {nearest_names(label, labels)}")
    return positive
