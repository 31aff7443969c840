"""The test images on which a metric and people differ most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.evaluation import RatingFigures
from perceptmetrics.reports.finetune.panels import results_on

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune import RunResult

__all__ = ["ErrorImage", "WorstErrors", "worst_errors"]


@dataclass(frozen=True, kw_only=True)
class ErrorImage:
    """One of them.

    Attributes:
        place: Its place in the data set.
        predicted: What the metric says, in words and numbers.
        truth: What people say.
    """

    place: int
    predicted: str
    truth: str


@dataclass(frozen=True, kw_only=True)
class WorstErrors:
    """Some of one kind.

    Attributes:
        heading: What kind.
        images: The images, the worst first.
    """

    heading: str
    images: tuple[ErrorImage, ...]


def worst_errors(result: RunResult, dataset: LabelledImages, label: str, count: int) -> list[WorstErrors]:
    """Find them, over the test images of all splits.

    Args:
        result: The run.
        dataset: One of its data sets.
        label: One of its ratings; with classes it does not matter.
        count: How many of each kind at most.

    Returns:
        Of ratings: what the metric puts too high and too low, by the error that is left after each split's fitted
        curve, on average over the splits in which an image was a test image. Of classes: images that are taken for
        another class, by the probability of that class, the highest over the splits. Kinds without an image are left
        out; so is everything where ratings compare within groups only.
    """
    if dataset.classes is not None:
        kinds = [_mistakes(result, dataset, dataset.classes, count)]
    elif dataset.ratings is not None and not dataset.ranks_within_groups:
        kinds = _rating_errors(result, dataset, dataset.ratings[:, dataset.labels.index(label)], label, count)
    else:
        kinds = []
    return [kind for kind in kinds if kind.images]


def _rating_errors(
    result: RunResult, dataset: LabelledImages, shares: NDArray[np.float64], label: str, count: int
) -> list[WorstErrors]:
    column = dataset.labels.index(label)
    total, times = np.zeros(len(dataset)), np.zeros(len(dataset))
    for one in results_on(result, dataset):
        figures = one.statistics[label]
        if isinstance(figures, RatingFigures):
            fitted = figures.curve4(one.scores[:, column])
            known = np.isfinite(fitted)
            total[one.images[known]] += fitted[known]
            times[one.images[known]] += 1
    predicted = np.divide(total, times, out=np.full(len(dataset), np.nan), where=times > 0)
    scale = dataset.scales[column]
    predicted, rated = scale.restore(predicted), scale.restore(shares)
    errors = predicted - rated
    decimals = 1 if scale.upper - scale.lower >= 20 else 2

    def images(order: NDArray[np.intp]) -> tuple[ErrorImage, ...]:
        return tuple(
            ErrorImage(
                place=int(place),
                predicted=f"predicted {predicted[place]:.{decimals}f}",
                truth=f"rated {rated[place]:.{decimals}f}",
            )
            for place in order[:count]
        )

    high, low = (np.flatnonzero(side) for side in (errors > 0, errors < 0))
    return [
        WorstErrors(heading="Predicted higher than people rated", images=images(high[np.argsort(-errors[high])])),
        WorstErrors(heading="Predicted lower than people rated", images=images(low[np.argsort(errors[low])])),
    ]


def _mistakes(result: RunResult, dataset: LabelledImages, classes: NDArray[np.intp], count: int) -> WorstErrors:
    found: dict[int, tuple[float, int]] = {}
    for one in results_on(result, dataset):
        taken = one.scores.argmax(axis=1)
        for place, chosen, confidence in zip(one.images, taken, one.scores.max(axis=1), strict=True):
            if chosen != classes[place] and confidence > found.get(int(place), (0.0, 0))[0]:
                found[int(place)] = (float(confidence), int(chosen))
    worst = sorted(found, key=lambda place: -found[place][0])[:count]
    images = [
        ErrorImage(
            place=place,
            predicted=f"predicted {dataset.labels[found[place][1]]} ({found[place][0]:.0%})",
            truth=f"labelled {dataset.labels[classes[place]]}",
        )
        for place in worst
    ]
    return WorstErrors(heading="Most confident mistakes", images=tuple(images))
