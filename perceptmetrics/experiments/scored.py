"""Shared by the experiments: score a set of images, and select one score of a metric with several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics._util.files import refuse_empty
from perceptmetrics.errors import DatasetError, InvalidOptionError, nearest_names
from perceptmetrics.images.find import find_images
from perceptmetrics.images.given import single_images
from perceptmetrics.scoring.stream import ScoreImages, first_failure

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.metric import Metric
    from perceptmetrics.scoring.results import ScoredImage

__all__ = ["TIE", "images_of_folder", "score_set", "single_column"]

TIE = 1e-6
"""Scores closer than this count as equal: rounding differs by as much between batch sizes."""


def images_of_folder(folder: str | os.PathLike[str]) -> list[Path]:
    """Find the images of a folder, recursively.

    Raises:
        DatasetError: The path is not a folder.
        InvalidImageError: The folder contains no image.
    """
    refuse_empty(folder=folder)
    if not Path(folder).is_dir():
        raise DatasetError(f"Expected a folder of images, got {str(folder)!r}, which is not a folder.")
    return list(find_images([folder]))


def score_set(
    metrics: Sequence[Metric], sources: ImageSource | Iterable[ImageSource], scorer: ScoreImages
) -> tuple[list[ScoredImage], list[ScoredImage]]:
    """Score images and separate the failures.

    Returns:
        The images with scores, and those that could not be scored, both in the order of `sources`.

    Raises:
        DatasetError: No image could be scored.
    """
    scored: list[ScoredImage] = []
    failed: list[ScoredImage] = []
    for row in scorer(metrics, single_images(sources)):
        (scored if row.error is None else failed).append(row)
    if not scored:
        raise DatasetError(f"None of {len(failed)} images could be scored.{first_failure(failed)}")
    return scored, failed


def single_column(metric: Metric, label: str | None = None) -> str:
    """Return the name of the one score that an experiment uses.

    Args:
        metric: The metric.
        label: One of its labels, for a metric with labels.

    Raises:
        InvalidOptionError: The metric has labels and none is given, or it has no such label.
    """
    if not metric.labels:
        if label is not None:
            raise InvalidOptionError(f"{metric.metric_name!r} has a single score, so there is no label {label!r}.")
        return metric.metric_name
    if label is None:
        raise InvalidOptionError(
            f"{metric.metric_name!r} has several scores and this experiment uses one. "
            f"Choose a label: {', '.join(metric.labels)}."
        )
    if label not in metric.labels:
        raise InvalidOptionError(
            f"{metric.metric_name!r} has no label {label!r}. {nearest_names(label, metric.labels)}"
        )
    return f"{metric.metric_name}.{label}"
