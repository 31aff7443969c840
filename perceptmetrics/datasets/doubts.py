"""Doubts about labels: what cannot be right, and what looks wrong, with the options that would mend it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.check import rating_reports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from perceptmetrics.datasets.labelled import LabelledImages
    from perceptmetrics.datasets.report import RatingReport

__all__ = ["Doubt", "label_doubts"]

_NOT_RATINGS = re.compile(
    r"(.*[ _-])?(ids?|idx|index|no|nr|num|number|groups?|scenes?|contents?|themes?|splits?|folds?|raters?|users?|rows?"
    r"|width|height|size|year|seed|unnamed: \d+)",
    re.IGNORECASE,
)
_USUAL_RATINGS = re.compile(
    r"(d?mos|rating|score|quality|mean|average|valence|beauty|.*_(mean|mos|score))", re.IGNORECASE
)
_USUAL_SCALES = ((0, 1), (1, 5), (1, 7), (1, 9), (1, 10), (0, 10), (0, 100))
_NARROW = 0.2  # fraction of the scale that ratings span, below which the scale looks like that of other ratings
_LARGE = 1000.0  # integers beyond it, all different, are no ratings
_FEWEST = 5  # images, below which distinct integers mean nothing


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """One doubt.

    Attributes:
        text: What was found, in one sentence.
        options: Options of the data set that would mend it, by name.
        is_error: Whether it cannot be right, so that nothing should be trained on it.
    """

    text: str
    options: Mapping[str, tuple[str, ...]]
    is_error: bool


def label_doubts(dataset: LabelledImages) -> tuple[Doubt, ...]:
    """Find labels that cannot be right or look wrong.

    Args:
        dataset: The data set.

    Returns:
        The doubts, errors first. Columns of ratings that were not stated are one error, which names all of them.
    """
    if dataset.classes is not None:
        known = {dataset.labels[index] for index in np.unique(dataset.classes)}
        text = f"All images are of the class {next(iter(known))!r}: there is nothing to tell apart."
        return (Doubt(text=text, options={}, is_error=True),) if len(known) == 1 else ()
    reports = rating_reports(dataset)
    odd = [_oddity(report, column) for report, column in zip(reports, _restored(dataset), strict=True)]
    if dataset.labels_are_guessed and (len(reports) > 1 or any(odd)):
        return (_unstated(reports, odd),)
    found = [doubt for report, why in zip(reports, odd, strict=True) for doubt in _of_rating(report, len(dataset), why)]
    return tuple(sorted(found, key=lambda doubt: not doubt.is_error))


def _restored(dataset: LabelledImages) -> list[NDArray[np.float64]]:
    """The ratings of each label that are known, on the scale of the raters."""
    ratings = np.empty((0, 0)) if dataset.ratings is None else dataset.ratings
    return [scale.restore(column[~np.isnan(column)]) for scale, column in zip(dataset.scales, ratings.T, strict=True)]


def _oddity(report: RatingReport, values: NDArray[np.float64]) -> str:
    """Why numbers do not look like ratings; empty if they do."""
    if _NOT_RATINGS.fullmatch(report.label.strip()):
        return "by its name no rating"
    whole, distinct = np.unique(values.round(6)), len(values) >= _FEWEST
    distinct = distinct and len(whole) == len(values) and bool((np.abs(values - values.round()) < 1e-6).all())
    if distinct and (len(whole) == report.greatest - report.least + 1 or report.greatest > _LARGE):
        return "another whole number for each image, like a number of the image"
    return ""


def _unstated(reports: Sequence[RatingReport], odd: Sequence[str]) -> Doubt:
    """Columns that were taken for ratings because none was stated."""
    columns = [
        f"{report.label!r} ({report.least:g} to {report.greatest:g}{f'; {why}' if why else ''})"
        for report, why in zip(reports, odd, strict=True)
    ]
    likely = [report for report, why in zip(reports, odd, strict=True) if not why] or list(reports)
    usual = [report for report in likely if _USUAL_RATINGS.fullmatch(report.label.strip())]
    chosen = (usual or likely)[:1]
    several = f"{len(columns)} columns hold numbers: {', '.join(columns)}"
    one = f"The only column of numbers is {columns[0]}"
    return Doubt(
        text=f"No column of ratings is stated. {several if len(columns) > 1 else one}. State those that people rated.",
        options={"columns": tuple(report.label for report in chosen), **_ends(chosen[0])},
        is_error=True,
    )


def _of_rating(report: RatingReport, images: int, odd: str) -> list[Doubt]:
    label, scale = repr(report.label), f"{report.scale.lower:g} to {report.scale.upper:g}"
    span = f"{report.least:g} to {report.greatest:g}"
    found = []
    if not report.images:
        return [Doubt(text=f"No image has a rating {label}.", options={}, is_error=True)]
    if report.least == report.greatest:
        text = f"All ratings {label} are equal ({report.least:g}): there is nothing to learn."
        return [Doubt(text=text, options={}, is_error=True)]
    if report.is_beyond_scale:
        text = f"Ratings {label} range from {span}, beyond their scale of {scale}."
        found.append(Doubt(text=text, options=_ends(report), is_error=True))
    elif report.greatest - report.least < _NARROW * (report.scale.upper - report.scale.lower):
        text = f"Ratings {label} range from {span} only, a small part of their scale of {scale}. Is it another scale?"
        found.append(Doubt(text=text, options=_ends(report), is_error=False))
    if odd:
        found.append(Doubt(text=f"{label} does not look like a rating: {odd}.", options={}, is_error=False))
    if report.images < images:
        text = f"{images - report.images} of {images} images have no rating {label}."
        found.append(Doubt(text=text, options={}, is_error=False))
    return found


def _ends(report: RatingReport) -> dict[str, tuple[str, ...]]:
    """The narrowest usual scale that holds the ratings, or else whole numbers around them."""
    for lower, upper in _USUAL_SCALES:
        if lower <= report.least and report.greatest <= upper:
            return {"lower": (str(lower),), "upper": (str(upper),)}
    return {"lower": (f"{np.floor(report.least):.0f}",), "upper": (f"{np.ceil(report.greatest):.0f}",)}
