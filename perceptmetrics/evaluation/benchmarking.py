"""Metrics against a data set: figures on all images, on the test part of each split, and the medians of those."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from perceptmetrics.datasets import LabelledImages, Scale, Split
from perceptmetrics.errors import DatasetError
from perceptmetrics.evaluation.classes import ClassFigures, evaluate_classes
from perceptmetrics.evaluation.predictions import (
    Predictions,
    check_classes,
    class_probabilities,
    has_unit,
    oriented,
    predict_images,
)
from perceptmetrics.evaluation.ratings import RatingFigures, evaluate_within_groups, rating_figures
from perceptmetrics.models.metric import Metric
from perceptmetrics.scoring.stream import ScoreImages, namesakes, score_columns, score_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.evaluation.curves import RatingCurve

__all__ = ["CLASS_FIGURES", "RATING_FIGURES", "Benchmark", "ClassResult", "RatingResult", "benchmark"]

_log = logging.getLogger(__name__)

RATING_FIGURES = ("srcc", "plcc", "plcc_logistic4", "plcc_logistic5", "krcc", "rmse", "rmse_logistic4", "mse")
"""Figures of ratings of which medians over splits are taken."""
CLASS_FIGURES = ("accuracy", "binary_accuracy", "mean_average_precision", "macro_f1", "weighted_f1")
"""Figures of classes of which medians over splits are taken."""


@dataclass(frozen=True, kw_only=True)
class RatingResult:
    """One score against one rating.

    Attributes:
        metric: Name of the metric.
        column: Name of the score: of the metric, or with the label after it.
        rating: Name of the rating.
        scale: The scale of the rating, in whose unit errors are.
        predictions: Shape (N,), turned so that higher is better (see `oriented`); NaN where there is no score.
        figures: Figures on all images.
        on_tests: Figures on the test part of each split, without intervals.
        medians: Median over these of each of `RATING_FIGURES`; NaN where one is not defined. Empty without splits.
    """

    metric: str
    column: str
    rating: str
    scale: Scale
    predictions: NDArray[np.float64]
    figures: RatingFigures
    on_tests: tuple[RatingFigures, ...]
    medians: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    """A metric's probabilities against the classes.

    Attributes:
        metric: Name of the metric.
        probabilities: Shape (N, C); NaN where there is no score.
        figures: Figures on all images.
        on_tests: Figures on the test part of each split.
        medians: Median over these of each of `CLASS_FIGURES`. Empty without splits.
    """

    metric: str
    probabilities: NDArray[np.float64]
    figures: ClassFigures
    on_tests: tuple[ClassFigures, ...]
    medians: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Metrics against a data set.

    Attributes:
        dataset: The data set.
        splits: Its splits; may be empty.
        predictions: The scores as the metrics gave them, and the images that could not be scored.
        ratings: Results where the data set has ratings.
        classes: Results where it has classes.
        seed: Seed of the bootstrap.
    """

    dataset: LabelledImages
    splits: tuple[Split, ...]
    predictions: Predictions
    ratings: tuple[RatingResult, ...]
    classes: tuple[ClassResult, ...]
    seed: int


def benchmark(
    metrics: Metric | Sequence[Metric],
    dataset: LabelledImages,
    splits: Sequence[Split] = (),
    *,
    intervals: bool = True,
    seed: int = 0,
    scorer: ScoreImages = score_images,
) -> Benchmark:
    """Score each image of a data set once and set the scores against its labels.

    A rating that is called like a label of a metric is set against that label alone, any other one against every
    score of the metric. Scores of a metric whose lower end is the good one are turned round, as ratings are, so that
    a good metric has a positive SRCC whatever the directions. Where a fitted curve had to be replaced by a plainer one,
    a warning is logged.

    Args:
        metrics: A metric, or several, which read each image once.
        dataset: The data set.
        splits: Its splits, of which the test parts are looked at.
        intervals: Whether to draw bootstrap intervals of the correlations on all images.
        seed: Seed of the draws.
        scorer: How to score.

    Returns:
        The results. Images that cannot be scored are named there and left out of the figures.

    Raises:
        DatasetError: Not one image, or not one of a test part, has both a score and a label.
        InvalidOptionError: A metric does not predict the classes of the data set, or is given twice.
    """
    metrics = [metrics] if isinstance(metrics, Metric) else list(metrics)
    if dataset.classes is not None:
        for metric in metrics:
            check_classes(metric, dataset)
    predictions = predict_images(metrics, dataset, scorer)
    run = _Run(dataset=dataset, splits=tuple(splits), predictions=predictions, intervals=intervals, seed=seed)
    ratings = [
        run.against_rating(metric, column, place)
        for metric in metrics
        for place, rating in enumerate(dataset.labels if dataset.ratings is not None else ())
        for column in namesakes(rating, score_columns([metric]))
    ]
    classes = [run.against_classes(metric) for metric in metrics] if dataset.classes is not None else []
    for result in ratings:
        _warn_of_fallbacks(dataset.name, result)
    return Benchmark(
        dataset=dataset,
        splits=run.splits,
        predictions=predictions,
        ratings=tuple(ratings),
        classes=tuple(classes),
        seed=seed,
    )


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What all results of a benchmark have in common."""

    dataset: LabelledImages
    splits: tuple[Split, ...]
    predictions: Predictions
    intervals: bool
    seed: int

    def against_rating(self, metric: Metric, column: str, place: int) -> RatingResult:
        """One score against the rating at a place among the labels."""
        predicted = oriented(metric, self.predictions.of(column))
        ratings = cast("NDArray[np.float64]", self.dataset.ratings)[:, place]
        labelled = np.isfinite(predicted - ratings)

        def figures(images: NDArray[np.intp], intervals: bool) -> RatingFigures:
            x, y = predicted[images], ratings[images]
            if self.dataset.ranks_within_groups and self.dataset.groups is not None:
                groups = [self.dataset.groups[image] for image in images]
                return evaluate_within_groups(x, y, groups, intervals=intervals, seed=self.seed)
            scale, comparable = self.dataset.scales[place], has_unit(metric)
            return rating_figures(x, y, scale=scale, comparable=comparable, intervals=intervals, seed=self.seed)

        everything, tests = self._images(labelled, f"a score and a rating {self.dataset.labels[place]!r}")
        on_tests = tuple(figures(test, intervals=False) for test in tests)
        return RatingResult(
            metric=metric.metric_name,
            column=column,
            rating=self.dataset.labels[place],
            scale=self.dataset.scales[place],
            predictions=predicted,
            figures=figures(everything, intervals=self.intervals),
            on_tests=on_tests,
            medians=_medians(on_tests, RATING_FIGURES),
        )

    def against_classes(self, metric: Metric) -> ClassResult:
        """The probabilities of a metric against the classes."""
        probabilities = class_probabilities(metric, self.predictions, self.dataset)
        classes = cast("NDArray[np.intp]", self.dataset.classes)
        positive = self.dataset.positive_labels

        def figures(images: NDArray[np.intp]) -> ClassFigures:
            return evaluate_classes(probabilities[images], classes[images], self.dataset.labels, positive)

        everything, tests = self._images(np.isfinite(probabilities.sum(axis=1)), "probabilities")
        on_tests = tuple(figures(test) for test in tests)
        return ClassResult(
            metric=metric.metric_name,
            probabilities=probabilities,
            figures=figures(everything),
            on_tests=on_tests,
            medians=_medians(on_tests, CLASS_FIGURES),
        )

    def _images(self, usable: NDArray[np.bool_], what: str) -> tuple[NDArray[np.intp], list[NDArray[np.intp]]]:
        """The usable images of the whole set and of each test part."""
        parts = [np.arange(len(self.dataset)), *(split.test for split in self.splits)]
        images = [part[usable[part]] for part in parts]
        for number, chosen in enumerate(images):
            if not len(chosen):
                where = f"the test part of split {number}" if number else "the data set"
                raise DatasetError(f"{self.dataset.name}: not one image of {where} has {what}.")
        return images[0], images[1:]


def _medians(on_tests: Sequence[RatingFigures | ClassFigures], names: Sequence[str]) -> dict[str, float]:
    if not on_tests:
        return {}
    return {name: float(np.median([getattr(figures, name) for figures in on_tests])) for name in names}


def _warn_of_fallbacks(dataset: str, result: RatingResult) -> None:
    for name in ("curve4", "curve5"):
        curve: RatingCurve = getattr(result.figures, name)
        replaced = sum(bool(getattr(figures, name).fallback) for figures in result.on_tests)
        where = [f"all images ({curve.kind} instead, since {curve.fallback})"] if curve.fallback else []
        where += [f"{replaced} of {len(result.on_tests)} test parts"] if replaced else []
        if where:
            _log.warning(
                "%s by %s on %s: the logistic of %s parameters is replaced on %s.",
                result.rating,
                result.column,
                dataset,
                name[-1],
                " and ".join(where),
            )
