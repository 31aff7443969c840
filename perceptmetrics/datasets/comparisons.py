"""Scores of images from choices between two of them, by the model of Bradley and Terry.

Choices have a common scale only where a chain of comparisons leads from each image to every other. Sets of images that
were never compared with each other are refused by name, unless the user says what they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from perceptmetrics.datasets.labelled import Scale
from perceptmetrics.datasets.pooled import Pooled
from perceptmetrics.datasets.raters import check_choice
from perceptmetrics.errors import DatasetError, InvalidOptionError
from perceptmetrics.functional.preference import bradley_terry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from perceptmetrics.datasets.listing import Listing

__all__ = ["Apart", "Choice", "compared_images", "with_win_rates"]

Apart: TypeAlias = Literal["error", "largest", "groups"]
"""What happens to sets of images that were never compared with each other."""

SHOWN_SETS = 4


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What one person chose.

    Attributes:
        first: Name of an image.
        second: Name of the image that it was compared with.
        outcome: 1 if the first was chosen, 0 if the second, 0.5 for a tie.
        rater: Who chose; empty where the file does not say.
        place: Where it is in the file, such as `"line 3"`.
    """

    first: str
    second: str
    outcome: float
    rater: str
    place: str


def compared_images(choices: Sequence[Choice], source: str) -> tuple[str, ...]:
    """Names of all images, in the order of their first comparisons.

    Raises:
        DatasetError: An image is compared with itself, or there are no choices.
    """
    for choice in choices:
        if choice.first == choice.second:
            raise DatasetError(f"{source}, {choice.place}: {choice.first!r} is compared with itself. Remove the row.")
    if not choices:
        raise DatasetError(f"{source} contains no choices.")
    return tuple(dict.fromkeys(name for choice in choices for name in (choice.first, choice.second)))


def with_win_rates(
    listing: Listing,
    choices: Sequence[Choice],
    source: str,
    *,
    label: str,
    prior: float = 0.1,
    apart: Apart = "error",
    notes: tuple[str, ...] = (),
) -> Listing:
    """Give the images of a listing, which are `compared_images`, the fraction of the others that they win against.

    Args:
        listing: Names and files of the N images.
        choices: The choices.
        source: The file, for messages.
        label: Name of the rating.
        prior: See `bradley_terry`.
        apart: What happens to sets of images that were never compared with each other: an `"error"`, only the
            `"largest"` is used, or they are `"groups"`, within which alone ratings are comparable.
        notes: See `Pooled`.

    Returns:
        The listing with ratings in [0, 1]; of the largest set of images, if this is stated.

    Raises:
        DatasetError: Sets of images were never compared with each other, and this is an error.
        InvalidOptionError: An option has an invalid value.
    """
    check_choice("apart", apart, Apart)
    if isinstance(prior, bool) or not isinstance(prior, (int, float)) or not 0 < prior < float("inf"):
        raise InvalidOptionError(f"prior must be a number above 0, such as 0.1, got {prior!r}.")
    number = {name: index for index, name in enumerate(listing.names)}
    pairs = np.array([(number[one.first], number[one.second]) for one in choices], dtype=np.intp)
    outcomes = np.array([one.outcome for one in choices])
    sets = _sets(pairs, len(number))
    largest = int(np.bincount(sets).argmax())
    if sets.max() > 0 and apart == "error":
        raise DatasetError(_complaint(listing.names, sets, source))
    inside = sets[pairs[:, 0]] == largest if apart == "largest" else np.ones(len(pairs), dtype=np.bool_)
    raters = {one.rater for one, used in zip(choices, inside, strict=True) if used} - {""}
    rates, errors, right = _win_rates(pairs, outcomes, sets, prior, only=largest if apart == "largest" else None)
    pooled = Pooled(
        label=label,
        method="Bradley-Terry",
        answers=int(inside.sum()),
        raters=len(raters) or None,
        counts=np.bincount(pairs.ravel(), minlength=len(number)),
        errors=errors,
        agreement={"decided choices that the scores agree with": right} if not np.isnan(right) else {},
        notes=(*notes, *_notes(sets, outcomes[inside], apart)),
    )
    rated = replace(
        listing,
        labels=(label,),
        ratings=rates[:, None],
        scales=(Scale(lower=0.0, upper=1.0),),
        pooled=(pooled,),
    )
    if apart == "largest":
        return rated.only(np.asarray(sets == largest))
    if apart == "groups" and sets.max() > 0:
        return replace(rated, groups=tuple(f"set {index + 1}" for index in sets), ranks_within_groups=True)
    return rated


def _sets(pairs: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """For each image, the set of those that a chain of comparisons leads to."""
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    sets: NDArray[np.intp] = connected_components(graph, directed=False)[1].astype(np.intp)
    return sets


def _win_rates(
    pairs: NDArray[np.intp], outcomes: NDArray[np.float64], sets: NDArray[np.intp], prior: float, only: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, float]:
    """Win rates of the images within their sets, their errors, and the fraction of decided choices they agree with."""
    rates, errors = np.full(len(sets), np.nan), np.full(len(sets), np.nan)
    right = decided = 0
    for number in range(sets.max() + 1) if only is None else [only]:
        members = np.flatnonzero(sets == number)
        rows = np.flatnonzero(sets[pairs[:, 0]] == number)
        own = np.searchsorted(members, pairs[rows])
        fitted = bradley_terry(own[:, 0], own[:, 1], outcomes[rows], len(members), prior=prior)
        rates[members] = fitted.win_rate
        errors[members] = np.nan if fitted.error is None else fitted.error
        excess = (fitted.strength[own[:, 0]] - fitted.strength[own[:, 1]]) * (outcomes[rows] - 0.5)
        right, decided = right + int((excess > 0).sum()), decided + int((outcomes[rows] != 0.5).sum())
    used = ~np.isnan(rates)
    return rates, None if np.isnan(errors[used]).any() else errors, right / decided if decided else float("nan")


def _complaint(names: Sequence[str], sets: NDArray[np.intp], source: str) -> str:
    sizes = np.bincount(sets)
    order = np.argsort(-sizes, kind="stable")
    examples = [names[int(np.flatnonzero(sets == number)[0])] for number in order[:SHOWN_SETS]]
    listed = ", ".join(f"{sizes[number]} with {name!r}" for number, name in zip(order, examples, strict=False))
    more = ", ..." if len(sizes) > SHOWN_SETS else ""
    return (
        f"{source}: the choices fall apart into {len(sizes)} sets of images that were never compared with each other "
        f"({listed}{more}), so their scores have no common scale. Compare images of different sets, such as "
        f"{examples[0]!r} with {examples[1]!r}; use only the largest set: --option apart=largest; or let scores be "
        "comparable within a set only, with loss: ranking: --option apart=groups."
    )


def _notes(sets: NDArray[np.intp], outcomes: NDArray[np.float64], apart: Apart) -> list[str]:
    ties = int((outcomes == 0.5).sum())
    notes = [f"{ties} ties count as half a win of each"] if ties else []
    if sets.max() > 0 and apart == "groups":
        notes.append(f"{sets.max() + 1} sets of images, comparable within each set only")
    elif sets.max() > 0:
        sizes = np.bincount(sets)
        notes.append(f"{len(sets) - sizes.max()} images of {len(sizes) - 1} other sets left out")
    return notes
