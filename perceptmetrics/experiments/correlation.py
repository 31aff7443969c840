"""Correlate scores with human ratings.

The papers report SRCC and PLCC; PerceptCLIP (TMLR 2025) computes PLCC after a four-parameter logistic fit, CLIP-UIQA
(2024) reports PLCC for each rated attribute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perceptmetrics.errors import DatasetError
from perceptmetrics.experiments.scored import score_set
from perceptmetrics.functional.curves import fit_logistic4, logistic4
from perceptmetrics.functional.stats import bootstrap_interval, krcc, plcc, rmse, srcc
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import ScoreImages, namesakes, score_columns, score_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.experiments.ratings import Ratings
    from perceptmetrics.models.metric import Metric

__all__ = ["Correlation", "Correlations", "correlate"]

FEWEST_IMAGES = 5


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Correlation of one score with one rating.

    Attributes:
        rating: Name of the rating.
        column: Name of the score.
        images: The N images that have both.
        ratings: Their ratings.
        scores: Their scores.
        srcc: Spearman's rank correlation.
        srcc_interval: Its 95 % bootstrap interval.
        plcc: Pearson's correlation of the raw scores.
        plcc_interval: Its 95 % bootstrap interval.
        plcc_fitted: Pearson's correlation after `functional.curves.fit_logistic4`.
        krcc: Kendall's rank correlation.
        rmse: Root mean squared error after the fit, in units of the rating.
        curve: Parameters b1..b4 of the fit; None if all scores are equal (`plcc_fitted` and `rmse` are then NaN).
    """

    rating: str
    column: str
    images: tuple[str, ...]
    ratings: tuple[float, ...]
    scores: tuple[float, ...]
    srcc: float
    srcc_interval: tuple[float, float]
    plcc: float
    plcc_interval: tuple[float, float]
    plcc_fitted: float
    krcc: float
    rmse: float
    curve: tuple[float, float, float, float] | None


@dataclass(frozen=True, kw_only=True)
class Correlations:
    """Correlations of every score with every rating, or with the rating of the same name.

    Attributes:
        rows: The correlations.
        seed: Seed of the bootstrap.
        missing: Rated images without a file.
        failed: Images that could not be scored.
    """

    rows: tuple[Correlation, ...]
    seed: int
    missing: tuple[str, ...] = ()
    failed: tuple[ScoredImage, ...] = ()


def correlate(
    metrics: Sequence[Metric], ratings: Ratings, *, seed: int = 0, scorer: ScoreImages = score_images
) -> Correlations:
    """Correlate scores with ratings.

    If a rating has the name of one of the metric's labels (`brightness`), it is correlated with that label only;
    otherwise with every score.

    Args:
        metrics: The metrics.
        ratings: From `read_ratings`.
        seed: Seed of the bootstrap.
        scorer: How to score.

    Returns:
        The correlations.

    Raises:
        DatasetError: Fewer than five images have a score and a rating, or all ratings of a column are equal.
    """
    columns = score_columns(metrics)
    scored, failed = score_set(metrics, ratings.images, scorer)
    score_of = {row.name: row.scores for row in scored}
    rows = []
    for rating, numbers in ratings.columns.items():
        rated = [
            (str(image), number)
            for image, number in zip(ratings.images, numbers, strict=True)
            if str(image) in score_of and not math.isnan(number)
        ]
        _check(rating, rated)
        for column in namesakes(rating, columns):
            scores = tuple(score_of[image][column] for image, _ in rated)
            rows.append(_correlation(rating, column, rated, scores, seed))
    return Correlations(rows=tuple(rows), seed=seed, missing=ratings.missing, failed=tuple(failed))


def _check(rating: str, rated: Sequence[tuple[str, float]]) -> None:
    if len(rated) < FEWEST_IMAGES:
        raise DatasetError(
            f"Expected {FEWEST_IMAGES} or more images with a score and a rating {rating!r}, got {len(rated)}."
        )
    if len({number for _, number in rated}) == 1:
        raise DatasetError(
            f"All ratings {rating!r} are equal ({rated[0][1]:g}), so there is no correlation. List the columns of "
            "ratings without this one."
        )


def _correlation(
    rating: str, column: str, rated: Sequence[tuple[str, float]], scores: tuple[float, ...], seed: int
) -> Correlation:
    numbers = tuple(number for _, number in rated)
    curve = fit_logistic4(scores, numbers) if len(set(scores)) > 1 else None
    fitted = None if curve is None else logistic4(scores, *curve)
    return Correlation(
        rating=rating,
        column=column,
        images=tuple(image for image, _ in rated),
        ratings=numbers,
        scores=scores,
        srcc=srcc(scores, numbers),
        srcc_interval=bootstrap_interval(srcc, scores, numbers, seed=seed),
        plcc=plcc(scores, numbers),
        plcc_interval=bootstrap_interval(plcc, scores, numbers, seed=seed),
        plcc_fitted=math.nan if fitted is None else plcc(fitted, numbers),
        krcc=krcc(scores, numbers),
        rmse=math.nan if fitted is None else rmse(fitted, numbers),
        curve=curve,
    )
