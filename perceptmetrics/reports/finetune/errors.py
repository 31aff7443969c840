"""Find and show the test images on which a metric and people differ most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.evaluation import RatingStatistics
from perceptmetrics.reports.finetune.panels import results_on
from perceptmetrics.reports.finetune.tables import label_keys
from perceptmetrics.reports.mistakes import confused_images, small_image
from perceptmetrics.reports.plots import GalleryImage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune import RunResult

__all__ = ["WORST", "ErrorChoice", "ErrorImage", "WorstErrors", "gallery_sections", "worst_errors"]

WORST = 8
"""Number of images of each kind."""


Ranking = Literal["fitted", "z"]


@dataclass(frozen=True, kw_only=True)
class ErrorChoice:
    """Which errors are shown.

    Attributes:
        ranking: How errors of ratings are measured: `"fitted"` after each split's fitted curve, in the unit of the
            raters, or `"z"` as differences of z-scores over the test images (PerceptCLIP, Fig. A.8).
        confusion: A class and another one that is predicted for it, whose images are shown besides (Fig. A.4, A.5).
    """

    ranking: Ranking = "fitted"
    confusion: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        if self.ranking not in get_args(Ranking):
            raise InvalidOptionError(f"ranking must be one of {get_args(Ranking)}, got {self.ranking!r}.")


USUAL = ErrorChoice()


@dataclass(frozen=True, kw_only=True)
class ErrorImage:
    """An image with a large error.

    Attributes:
        index: Index of the image in the data set.
        predicted: The prediction, as text.
        truth: The label, as text.
    """

    index: int
    predicted: str
    truth: str


@dataclass(frozen=True, kw_only=True)
class WorstErrors:
    """The worst errors of one kind.

    Attributes:
        heading: Name of the kind.
        images: The images, the worst first.
    """

    heading: str
    images: tuple[ErrorImage, ...]


def worst_errors(
    result: RunResult, dataset: LabelledImages, label: str, count: int, choice: ErrorChoice = USUAL
) -> list[WorstErrors]:
    """Find the worst errors on the test images of all splits.

    Args:
        result: The run.
        dataset: One of its data sets.
        label: One of its ratings; ignored for classes.
        count: Largest number of images of each kind.
        choice: How errors are ranked, and which confusion is shown besides.

    Returns:
        For ratings, the images predicted too high and too low, by their error averaged over the splits in which the
        image was tested. For classes, the misclassified images by the highest probability of the wrong class over the
        splits, and those of the chosen confusion. Kinds without images are left out, but for a chosen confusion;
        nothing is returned for ratings that are comparable only within groups.
    """
    if dataset.classes is not None:
        kinds = [_mistakes(result, dataset, dataset.classes, count)]
        chosen = choice.confusion
        if chosen is not None and set(chosen) <= set(dataset.labels):
            return [*filter(_has_images, kinds), _confused(result, dataset, dataset.classes, chosen, count)]
    elif dataset.ratings is not None and not dataset.ranks_within_groups:
        errors = _errors_in_z_scores if choice.ranking == "z" else _rating_errors
        kinds = errors(result, dataset, dataset.ratings[:, dataset.labels.index(label)], label, count)
    else:
        kinds = []
    return [*filter(_has_images, kinds)]


def _has_images(kind: WorstErrors) -> bool:
    return bool(kind.images)


def _rating_errors(
    result: RunResult, dataset: LabelledImages, ratings: NDArray[np.float64], label: str, count: int
) -> list[WorstErrors]:
    column = dataset.labels.index(label)
    total, times = np.zeros(len(dataset)), np.zeros(len(dataset))
    for one in results_on(result, dataset):
        found = one.statistics[label]
        if isinstance(found, RatingStatistics):
            fitted = found.curve4(one.scores[:, column])
            known = np.isfinite(fitted)
            total[one.images[known]] += fitted[known]
            times[one.images[known]] += 1
    predicted = np.divide(total, times, out=np.full(len(dataset), np.nan), where=times > 0)
    scale = dataset.scales[column]
    predicted, rated = scale.restore(predicted), scale.restore(ratings)
    return _too_high_and_low(predicted, rated, f".{1 if scale.upper - scale.lower >= 20 else 2}f", count)


def _errors_in_z_scores(
    result: RunResult, dataset: LabelledImages, ratings: NDArray[np.float64], label: str, count: int
) -> list[WorstErrors]:
    column = dataset.labels.index(label)
    totals, times = np.zeros((2, len(dataset))), np.zeros(len(dataset))
    for one in results_on(result, dataset):
        both = np.stack([one.scores[:, column], ratings[one.images]])
        known = np.isfinite(both).all(axis=0)
        spread = both[:, known].std(axis=1, keepdims=True) if known.any() else np.zeros((2, 1))
        if (spread > 0).all():
            totals[:, one.images[known]] += (both[:, known] - both[:, known].mean(axis=1, keepdims=True)) / spread
            times[one.images[known]] += 1
    predicted, rated = np.divide(totals, times, out=np.full_like(totals, np.nan), where=times > 0)
    if not dataset.scales[column].higher_is_better:
        predicted, rated = -predicted, -rated
    return _too_high_and_low(predicted, rated, "+.2f", count, unit=" (z)")


def _too_high_and_low(
    predicted: NDArray[np.float64], rated: NDArray[np.float64], form: str, count: int, unit: str = ""
) -> list[WorstErrors]:
    errors = predicted - rated

    def images(order: NDArray[np.intp]) -> tuple[ErrorImage, ...]:
        return tuple(
            ErrorImage(
                index=int(index),
                predicted=f"predicted {predicted[index]:{form}}{unit}",
                truth=f"rated {rated[index]:{form}}{unit}",
            )
            for index in order[:count]
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
        for index, chosen, confidence in zip(one.images, taken, one.scores.max(axis=1), strict=True):
            if chosen != classes[index] and confidence > found.get(int(index), (0.0, 0))[0]:
                found[int(index)] = (float(confidence), int(chosen))
    worst = sorted(found, key=lambda index: -found[index][0])[:count]
    images = [
        ErrorImage(
            index=index,
            predicted=f"predicted {dataset.labels[found[index][1]]} ({found[index][0]:.0%})",
            truth=f"labelled {dataset.labels[classes[index]]}",
        )
        for index in worst
    ]
    return WorstErrors(heading="Most confident mistakes", images=tuple(images))


def _confused(
    result: RunResult, dataset: LabelledImages, classes: NDArray[np.intp], confusion: tuple[str, str], count: int
) -> WorstErrors:
    tested = ((one.images, classes[one.images], one.scores) for one in results_on(result, dataset))
    found = confused_images(confusion, dataset.labels, tested)
    true, predicted = confusion
    images = [
        ErrorImage(index=index, predicted=f"predicted {predicted} ({confidence:.0%})", truth=f"labelled {true}")
        for index, confidence in list(found.items())[:count]
    ]
    return WorstErrors(heading=f"{true} taken for {predicted}: {len(found)} images", images=tuple(images))


def gallery_sections(
    result: RunResult, dataset: LabelledImages, choice: ErrorChoice = USUAL
) -> list[tuple[str, list[GalleryImage]]]:
    """Worst errors of each rating, or of the classes, as sections of a gallery."""
    labels = label_keys(dataset)
    return [
        (
            f"{label}: {kind.heading}" if len(labels) > 1 else kind.heading,
            [
                GalleryImage(
                    pixels=np.asarray(small_image(dataset, image.index)),
                    text=f"{image.predicted}\n{image.truth}",
                    name=dataset.names[image.index],
                )
                for image in kind.images
            ],
        )
        for label in labels
        for kind in worst_errors(result, dataset, label, WORST, choice)
        if kind.images
    ]
