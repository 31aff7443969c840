"""Find and show the test images on which a metric and people differ most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets import RenderedImage
from perceptmetrics.evaluation import RatingStatistics
from perceptmetrics.reports.finetune.panels import results_on
from perceptmetrics.reports.finetune.tables import label_keys
from perceptmetrics.reports.pages import thumbnail_or_grey
from perceptmetrics.reports.plots import GalleryImage

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune import RunResult

__all__ = ["WORST", "ErrorImage", "WorstErrors", "gallery_sections", "small_image", "worst_errors"]

WORST = 8
"""Number of images of each kind."""
_SIDE = 240  # pixels


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


def worst_errors(result: RunResult, dataset: LabelledImages, label: str, count: int) -> list[WorstErrors]:
    """Find the worst errors on the test images of all splits.

    Args:
        result: The run.
        dataset: One of its data sets.
        label: One of its ratings; ignored for classes.
        count: Largest number of images of each kind.

    Returns:
        For ratings, the images predicted too high and too low, by the error after each split's fitted curve, averaged
        over the splits in which the image was tested. For classes, the misclassified images by the highest probability
        of the wrong class over the splits. Kinds without images are left out; nothing is returned for ratings that are
        comparable only within groups.
    """
    if dataset.classes is not None:
        kinds = [_mistakes(result, dataset, dataset.classes, count)]
    elif dataset.ratings is not None and not dataset.ranks_within_groups:
        kinds = _rating_errors(result, dataset, dataset.ratings[:, dataset.labels.index(label)], label, count)
    else:
        kinds = []
    return [kind for kind in kinds if kind.images]


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
    errors = predicted - rated
    decimals = 1 if scale.upper - scale.lower >= 20 else 2

    def images(order: NDArray[np.intp]) -> tuple[ErrorImage, ...]:
        return tuple(
            ErrorImage(
                index=int(index),
                predicted=f"predicted {predicted[index]:.{decimals}f}",
                truth=f"rated {rated[index]:.{decimals}f}",
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


def small_image(dataset: LabelledImages, index: int) -> Image.Image:
    """Thumbnail of an image of a data set."""
    item = dataset.images[index]
    source = item.render().float().div(255) if isinstance(item, RenderedImage) else item
    return thumbnail_or_grey(source, _SIDE)


def gallery_sections(result: RunResult, dataset: LabelledImages) -> list[tuple[str, list[GalleryImage]]]:
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
        for kind in worst_errors(result, dataset, label, WORST)
    ]
