"""Benchmark metrics on a data set: statistics on all images, on the test part of each split, and their medians."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from perceptmetrics._util.atomic import write_whole
from perceptmetrics.datasets import LabelledImages, Scale, Split
from perceptmetrics.errors import DatasetError
from perceptmetrics.evaluation.classes import ClassStatistics, evaluate_classes
from perceptmetrics.evaluation.predictions import (
    Predictions,
    check_classes,
    class_probabilities,
    has_unit,
    oriented,
    predict_images,
)
from perceptmetrics.evaluation.ratings import RatingStatistics, evaluate_within_groups, rating_statistics
from perceptmetrics.models.metric import Metric
from perceptmetrics.scoring.results import csv_bytes
from perceptmetrics.scoring.stream import ScoreImages, namesakes, score_columns, score_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from perceptmetrics.evaluation.curves import RatingCurve

__all__ = [
    "CLASS_STATISTICS",
    "RATING_STATISTICS",
    "Benchmark",
    "ClassResult",
    "RatingResult",
    "benchmark",
    "predictions_csv",
    "write_predictions",
]

_log = logging.getLogger(__name__)

RATING_STATISTICS = ("srcc", "plcc", "plcc_logistic4", "plcc_logistic5", "krcc", "rmse", "rmse_logistic4", "mse")
"""Statistics of ratings whose medians over the splits are reported."""
CLASS_STATISTICS = ("accuracy", "binary_accuracy", "mean_average_precision", "macro_f1", "weighted_f1")
"""Statistics of classes whose medians over the splits are reported."""


@dataclass(frozen=True, kw_only=True)
class RatingResult:
    """One score compared with one rating.

    Attributes:
        metric: Name of the metric.
        column: Name of the score: the metric's name, or `metric.label`.
        rating: Name of the rating.
        scale: Scale of the rating; errors are in its unit.
        predictions: Shape (N,), oriented so that higher is better (see `oriented`); NaN where there is no score.
        statistics: Statistics on all images.
        on_tests: Statistics on the test part of each split, without intervals.
        medians: Median of each of `RATING_STATISTICS` over `on_tests`; NaN where undefined. Empty without splits.
    """

    metric: str
    column: str
    rating: str
    scale: Scale
    predictions: NDArray[np.float64]
    statistics: RatingStatistics
    on_tests: tuple[RatingStatistics, ...]
    medians: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    """A metric's probabilities compared with the classes.

    Attributes:
        metric: Name of the metric.
        probabilities: Shape (N, C); NaN where there is no score.
        statistics: Statistics on all images.
        on_tests: Statistics on the test part of each split.
        medians: Median of each of `CLASS_STATISTICS` over `on_tests`. Empty without splits.
    """

    metric: str
    probabilities: NDArray[np.float64]
    statistics: ClassStatistics
    on_tests: tuple[ClassStatistics, ...]
    medians: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Results of metrics on a data set.

    Attributes:
        dataset: The data set.
        splits: Its splits; may be empty.
        predictions: The raw scores, and the images that could not be scored.
        ratings: Results for a data set with ratings.
        classes: Results for a data set with classes.
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
    """Score each image of a data set once and compare the scores with its labels.

    If a rating has the name of one of the metric's labels, it is compared with that label only; otherwise with every
    score of the metric. Scores and ratings whose lower end is the good one are inverted, so that a good metric has a
    positive SRCC. A warning is logged where a fitted curve had to be replaced by a simpler one.

    Args:
        metrics: One metric or several; each image is read once for all of them.
        dataset: The data set.
        splits: Its splits; only their test parts are used.
        intervals: Whether to compute bootstrap intervals of the correlations on all images.
        seed: Seed of the bootstrap.
        scorer: How to score.

    Returns:
        The results. They name the images that could not be scored; the statistics leave these out.

    Raises:
        DatasetError: No image of the data set, or none of a test part, has both a score and a label.
        InvalidOptionError: A metric does not predict the classes of the data set, or is given twice.
    """
    metrics = [metrics] if isinstance(metrics, Metric) else list(metrics)
    if dataset.classes is not None:
        for metric in metrics:
            check_classes(metric, dataset)
    predictions = predict_images(metrics, dataset, scorer)
    run = _Run(dataset=dataset, splits=tuple(splits), predictions=predictions, intervals=intervals, seed=seed)
    ratings = [
        run.against_rating(metric, column, index)
        for metric in metrics
        for index, rating in enumerate(dataset.labels if dataset.ratings is not None else ())
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
    """The parts that all results of a benchmark share."""

    dataset: LabelledImages
    splits: tuple[Split, ...]
    predictions: Predictions
    intervals: bool
    seed: int

    def against_rating(self, metric: Metric, column: str, index: int) -> RatingResult:
        """Compare one score with the rating at an index of the labels."""
        predicted = oriented(metric, self.predictions.of(column))
        ratings = cast("NDArray[np.float64]", self.dataset.ratings)[:, index]
        labelled = np.isfinite(predicted - ratings)

        def statistics(images: NDArray[np.intp], intervals: bool) -> RatingStatistics:
            x, y = predicted[images], ratings[images]
            if self.dataset.ranks_within_groups and self.dataset.groups is not None:
                groups = [self.dataset.groups[image] for image in images]
                return evaluate_within_groups(x, y, groups, intervals=intervals, seed=self.seed)
            scale, comparable = self.dataset.scales[index], has_unit(metric)
            return rating_statistics(x, y, scale=scale, comparable=comparable, intervals=intervals, seed=self.seed)

        everything, tests = self._images(labelled, f"a score and a rating {self.dataset.labels[index]!r}")
        on_tests = tuple(statistics(test, intervals=False) for test in tests)
        return RatingResult(
            metric=metric.metric_name,
            column=column,
            rating=self.dataset.labels[index],
            scale=self.dataset.scales[index],
            predictions=predicted,
            statistics=statistics(everything, intervals=self.intervals),
            on_tests=on_tests,
            medians=_medians(on_tests, RATING_STATISTICS),
        )

    def against_classes(self, metric: Metric) -> ClassResult:
        """Compare a metric's probabilities with the classes."""
        probabilities = class_probabilities(metric, self.predictions, self.dataset)
        classes = cast("NDArray[np.intp]", self.dataset.classes)
        positive = self.dataset.positive_labels

        def statistics(images: NDArray[np.intp]) -> ClassStatistics:
            return evaluate_classes(probabilities[images], classes[images], self.dataset.labels, positive)

        everything, tests = self._images(np.isfinite(probabilities.sum(axis=1)), "probabilities")
        on_tests = tuple(statistics(test) for test in tests)
        return ClassResult(
            metric=metric.metric_name,
            probabilities=probabilities,
            statistics=statistics(everything),
            on_tests=on_tests,
            medians=_medians(on_tests, CLASS_STATISTICS),
        )

    def _images(self, usable: NDArray[np.bool_], what: str) -> tuple[NDArray[np.intp], list[NDArray[np.intp]]]:
        """The usable images of the whole set and of each test part."""
        parts = [np.arange(len(self.dataset)), *(split.test for split in self.splits)]
        images = [part[usable[part]] for part in parts]
        for number, chosen in enumerate(images):
            if not len(chosen):
                where = f"the test part of split {number}" if number else "the data set"
                raise DatasetError(f"{self.dataset.name}: no image of {where} has {what}.")
        return images[0], images[1:]


def _medians(on_tests: Sequence[RatingStatistics | ClassStatistics], names: Sequence[str]) -> dict[str, float]:
    if not on_tests:
        return {}
    return {name: float(np.median([getattr(statistics, name) for statistics in on_tests])) for name in names}


def _warn_of_fallbacks(dataset: str, result: RatingResult) -> None:
    for name in ("curve4", "curve5"):
        curve: RatingCurve = getattr(result.statistics, name)
        replaced = sum(bool(getattr(statistics, name).fallback) for statistics in result.on_tests)
        where = [f"all images ({curve.kind} instead, since {curve.fallback})"] if curve.fallback else []
        where += [f"{replaced} of {len(result.on_tests)} test parts"] if replaced else []
        if where:
            what = f"{result.rating} by {result.column} on {dataset}: the {name[-1]}-parameter logistic"
            _log.warning("%s is replaced on %s.", what, " and ".join(where))


def write_predictions(path: Path, benchmarks: Sequence[Benchmark]) -> None:
    """Write `predictions_csv` to a file atomically."""
    write_whole(path, predictions_csv(benchmarks))


def predictions_csv(benchmarks: Sequence[Benchmark]) -> bytes:
    """All images of the data sets as a CSV, one image per row.

    Columns: `dataset`; `image`; `part` of the first split; `score.NAME` for each raw score; `rating.NAME` in the unit
    of the raters and `fraction.NAME`, the rating normalised to [0, 1] with 1 as the good end; or `class`; and `error`,
    the reason for a missing score. Cells that do not apply are empty.
    """
    rows = [row for benchmark in benchmarks for row in _rows(benchmark)]
    columns = dict.fromkeys(column for row in rows for column in row if column != "error")
    header = [*columns, "error"]
    return csv_bytes(header, ([row.get(column, "") for column in header] for row in rows))


def _rows(benchmark: Benchmark) -> Iterator[dict[str, object]]:
    dataset, predictions = benchmark.dataset, benchmark.predictions
    parts = _parts(benchmark.splits[0]) if benchmark.splits else {}
    errors = {row.name: row.error for row in predictions.failed}
    for index, name in enumerate(dataset.names):
        row: dict[str, object] = {"dataset": dataset.name, "image": name, "part": parts.get(index, "")}
        scores = (float(score) for score in predictions.scores[index])
        row |= {f"score.{column}": score for column, score in zip(predictions.columns, scores, strict=True)}
        if dataset.ratings is not None:
            for label, scale, fraction in zip(dataset.labels, dataset.scales, dataset.ratings[index], strict=True):
                row[f"rating.{label}"] = float(scale.restore(fraction))
                row[f"fraction.{label}"] = float(fraction)
        if dataset.classes is not None:
            row["class"] = dataset.labels[dataset.classes[index]]
        yield row | {"error": errors.get(name) or ""}


def _parts(split: Split) -> dict[int, str]:
    return {int(index): part for part in ("train", "validation", "test") for index in getattr(split, part)}
