"""How the answers of several people became one label for each image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pooled"]


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """What one label of a data set was made of.

    Attributes:
        label: Name of the rating; empty for classes.
        method: `"mean"` of ratings, `"majority"` of votes for classes, or `"Bradley-Terry"` scores of choices.
        answers: Number of answers.
        raters: Number of people who gave them; None where the table does not say who.
        counts: Shape (N,), number of answers about each image.
        errors: Shape (N,), standard error of each label in the unit of the raters; None if it cannot be known.
        agreement: How far people agree, by the name of the statistic; not in it where undefined.
        outlier: The rater who agrees least with the others, with the SRCC; None if unknown.
        notes: What else was done to the answers, one clause each.
    """

    label: str
    method: Literal["mean", "majority", "Bradley-Terry"]
    answers: int
    raters: int | None
    counts: NDArray[np.intp]
    errors: NDArray[np.float64] | None = None
    agreement: Mapping[str, float] = field(default_factory=dict)
    outlier: tuple[str, float] | None = None
    notes: tuple[str, ...] = ()

    def of(self, images: NDArray[np.intp]) -> Pooled:
        """The same for some of the images, or for all in another order; the statistics are those of all answers."""
        return replace(self, counts=self.counts[images], errors=None if self.errors is None else self.errors[images])

    @property
    def sentence(self) -> str:
        """What was pooled, and how far people agree."""
        what = {"mean": "mean of {} ratings", "majority": "majority of {} votes", "Bradley-Terry": "{} choices"}
        made = what[self.method].format(f"{self.answers:,}")
        if self.method == "Bradley-Terry":
            made = f"Bradley-Terry scores of {made}"
        by = "" if self.raters is None else f" by {self.raters:,} raters"
        given = self.counts[self.counts > 0]
        fewest, most = (given.min(), given.max()) if len(given) else (0, 0)
        each = f"{fewest}" if fewest == most else f"{fewest} to {most}, median {np.median(given):g}"
        parts = [f"{made}{by}, {each} per image"]
        parts += [f"{name} {value:.2f}" for name, value in self.agreement.items()]
        if self.outlier is not None:
            parts.append("lowest: {!r} with {:.2f}".format(*self.outlier))
        return "; ".join((*parts, *self.notes))
