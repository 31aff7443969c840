"""Pool what several people said of an image: the mean of ratings, the majority of votes for classes.

The standard error of a mean rests on the spread of an image's own ratings, moderated by that of all images: a variance
from two ratings is a guess. As in Smyth, "Linear models and empirical Bayes methods for assessing differential
expression", 2004, section 3, the variance of an image is averaged with that within all images, which counts like
`PRIOR_FREEDOM` ratings more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from perceptmetrics.datasets.pooled import Pooled
from perceptmetrics.errors import DatasetError, InvalidOptionError, nearest_names
from perceptmetrics.functional.agreement import fleiss_kappa, intraclass_correlation, rater_correlations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Answers", "Repeats", "Ties", "check_choice", "pool_classes", "pool_ratings"]

PRIOR_FREEDOM = 4

Repeats: TypeAlias = Literal["error", "mean", "first", "last"]
"""What counts where one person rated an image more than once."""

Ties: TypeAlias = Literal["error", "skip"]
"""What happens to an image for which several classes have the most votes."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Who said something of which image, M answers in the order of a file.

    Attributes:
        source: The file, for messages.
        images: Name of the image of each answer.
        raters: Who gave it; None where the file does not say.
        places: Where it is in the file, such as `"line 3"`.
    """

    source: str
    images: tuple[str, ...]
    raters: tuple[str, ...] | None
    places: tuple[str, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The N images, in the order of their first answers."""
        return tuple(dict.fromkeys(self.images))

    @cached_property
    def index(self) -> NDArray[np.intp]:
        """Shape (M,), index of each answer's image in `names`."""
        number = {name: index for index, name in enumerate(self.names)}
        return np.array([number[image] for image in self.images], dtype=np.intp)

    @property
    def rater_count(self) -> int | None:
        """Number of raters; None where the file does not say."""
        return None if self.raters is None else len(set(self.raters))

    def chosen(self, rows: Sequence[int]) -> Answers:
        """Some of the answers."""
        return replace(
            self,
            images=tuple(self.images[row] for row in rows),
            raters=None if self.raters is None else tuple(self.raters[row] for row in rows),
            places=tuple(self.places[row] for row in rows),
        )

    def common(self, column: str, cells: Sequence[str]) -> tuple[str, ...]:
        """What a column says of each image, if it says the same in all answers.

        Raises:
            DatasetError: It does not.
        """
        first: dict[str, tuple[str, str]] = {}
        for image, cell, place in zip(self.images, cells, self.places, strict=True):
            known, earlier = first.setdefault(image, (cell, place))
            if known != cell:
                raise DatasetError(
                    f"{self.source}: the column {column!r} says {known!r} of {image!r} in {earlier} and {cell!r} in "
                    f"{place}. Write the same in all rows of an image."
                )
        return tuple(first[name][0] for name in self.names)

    def once(self, repeats: Repeats) -> list[list[int]]:
        """Rows that count as one answer: those of one person about one image.

        Raises:
            DatasetError: There are several, and `repeats` is `"error"`.
            InvalidOptionError: `repeats` is unknown.
        """
        check_choice("repeats", repeats, Repeats)
        if self.raters is None:
            return [[row] for row in range(len(self.images))]
        rows_of: dict[tuple[str, str], list[int]] = {}
        for row, key in enumerate(zip(self.images, self.raters, strict=True)):
            rows_of.setdefault(key, []).append(row)
        for (image, rater), rows in rows_of.items():
            if len(rows) > 1 and repeats == "error":
                raise DatasetError(
                    f"{self.source}: {rater!r} rates {image!r} more than once ({self.places[rows[0]]} and "
                    f"{self.places[rows[1]]}). Remove all but one, or say what counts: --option repeats=mean (or "
                    "first, or last)."
                )
        kept = {"error": slice(None), "mean": slice(None), "first": slice(0, 1), "last": slice(-1, None)}[repeats]
        return [rows[kept] for rows in rows_of.values()]


def pool_ratings(
    answers: Answers, ratings: Mapping[str, Sequence[float]], *, repeats: Repeats = "error", notes: tuple[str, ...] = ()
) -> tuple[NDArray[np.float64], tuple[Pooled, ...]]:
    """Average the ratings of each image.

    Args:
        answers: Whose ratings these are.
        ratings: For each label, M numbers; NaN where a person gave no rating.
        repeats: What counts where one person rated an image more than once.
        notes: See `Pooled`.

    Returns:
        The means, shape (N, K), NaN for images without a rating; and what each label was made of.

    Raises:
        DatasetError: A person rated an image twice, and `repeats` is `"error"`.
    """
    columns = []
    for label, numbers in ratings.items():
        values = np.asarray(numbers, dtype=np.float64)
        rated = np.flatnonzero(~np.isnan(values))
        own = answers.chosen(rated.tolist())
        groups = [rated[rows] for rows in own.once(repeats)]
        firsts = [int(rows[0]) for rows in groups]
        single = np.array([values[rows].mean() for rows in groups])
        note = (f"{len(rated) - len(groups)} repeated ratings ({repeats})",) if len(groups) < len(rated) else ()
        columns.append(_pool_label(label, answers, firsts, single, (*notes, *note)))
    means = np.stack([mean for mean, _ in columns], axis=1)
    return means, tuple(pooled for _, pooled in columns)


def _pool_label(
    label: str, answers: Answers, rows: Sequence[int], values: NDArray[np.float64], notes: tuple[str, ...]
) -> tuple[NDArray[np.float64], Pooled]:
    """Means of one label, whose ratings stand in these rows."""
    index, count = answers.index[rows], len(answers.names)
    counts = np.bincount(index, minlength=count)
    means = np.full(count, np.nan)
    np.divide(np.bincount(index, values, count), counts, out=means, where=counts > 0)
    single, mean = intraclass_correlation(values, index)
    agreement = {"ICC of one rating": single, "of the mean": mean}
    outlier = None
    if answers.raters is not None:
        correlations = rater_correlations(values, index, [answers.raters[row] for row in rows])
        agreement["SRCC of a rater with the others"] = float(np.median([*correlations.values()] or [np.nan]))
        worst = min(correlations, key=correlations.__getitem__, default=None)
        outlier = None if worst is None or len(correlations) < 3 else (worst, correlations[worst])
    return means, Pooled(
        label=label,
        method="mean",
        answers=len(values),
        raters=None if answers.raters is None else len({answers.raters[row] for row in rows}),
        counts=counts,
        errors=_standard_errors(values - means[index], index, counts),
        agreement={name: number for name, number in agreement.items() if not np.isnan(number)},
        outlier=outlier,
        notes=notes,
    )


def _standard_errors(
    residuals: NDArray[np.float64], index: NDArray[np.intp], counts: NDArray[np.intp]
) -> NDArray[np.float64] | None:
    """Standard error of each mean; None where no image has two ratings, or none differ."""
    squares = np.bincount(index, residuals**2, len(counts))
    freedom = int(np.maximum(counts - 1, 0).sum())
    if freedom == 0 or squares.sum() == 0:
        return None
    common = squares.sum() / freedom
    variance = (PRIOR_FREEDOM * common + squares) / (PRIOR_FREEDOM + np.maximum(counts - 1, 0))
    errors = np.full(len(counts), np.nan)
    np.divide(variance, counts, out=errors, where=counts > 0)
    errors **= 0.5
    return errors


def pool_classes(
    answers: Answers,
    classes: Sequence[str],
    *,
    repeats: Repeats = "error",
    ties: Ties = "error",
    notes: tuple[str, ...] = (),
) -> tuple[tuple[str, ...], NDArray[np.intp], Pooled]:
    """Take the class with the most votes for each image.

    Args:
        answers: Whose votes these are.
        classes: The M votes.
        repeats: What counts where one person voted on an image more than once; a mean of classes there is none.
        ties: What happens to an image for which several classes have the most votes.
        notes: See `Pooled`.

    Returns:
        The classes in alphabetical order; for each image an index into them, or -1 for an image that is skipped; and
        what it was made of.

    Raises:
        DatasetError: A person voted on an image twice, or votes are tied, and this is an error.
        InvalidOptionError: An option is unknown.
    """
    check_choice("ties", ties, Ties)
    if repeats == "mean":
        raise InvalidOptionError(
            "repeats=mean is for ratings; of several classes choose repeats=first or repeats=last."
        )
    labels = tuple(sorted(set(classes)))
    number = {label: index for index, label in enumerate(labels)}
    votes = np.zeros((len(answers.names), len(labels)), dtype=np.intp)
    for rows in answers.once(repeats):
        votes[answers.index[rows[0]], number[classes[rows[0]]]] += 1
    most = votes.max(axis=1, keepdims=True)
    tied = np.flatnonzero((votes == most).sum(axis=1) > 1)
    if len(tied) and (ties == "error" or len(tied) == len(votes)):
        index = int(tied[0])
        equal = " and ".join(repr(labels[column]) for column in np.flatnonzero(votes[index] == most[index]))
        raise DatasetError(
            f"{answers.source}: {len(tied)} images have no class with the most votes; {equal} have {most[index, 0]} "
            f"each for {answers.names[index]!r}. Ask another person, or leave these images out: --option ties=skip."
            if len(tied) < len(votes)
            else f"{answers.source}: no image has a class with more votes than the others. Ask more people."
        )
    winners = votes.argmax(axis=1)
    winners[tied] = -1
    kappa = fleiss_kappa(votes)
    pooled = Pooled(
        label="",
        method="majority",
        answers=int(votes.sum()),
        raters=answers.rater_count,
        counts=votes.sum(axis=1),
        agreement={} if np.isnan(kappa) else {"Fleiss' kappa": kappa},
        notes=(*notes, *([f"{len(tied)} images with tied votes left out"] if len(tied) else [])),
    )
    return labels, winners, pooled


def check_choice(option: str, value: object, choices: object) -> None:
    """Refuse a value that is not one of a type's literals.

    Raises:
        InvalidOptionError: It is not.
    """
    allowed = get_args(choices)
    if value not in allowed:
        raise InvalidOptionError(
            f"{option} must be {', '.join(allowed[:-1])} or {allowed[-1]}, got {value!r}. "
            f"{nearest_names(str(value), allowed)}"
        )
