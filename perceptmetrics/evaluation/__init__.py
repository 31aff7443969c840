"""Measure how well metrics and predictions agree with human labels; knows nothing of training, plots and pages."""

from __future__ import annotations

from perceptmetrics.evaluation.benchmarking import (
    CLASS_STATISTICS,
    RATING_STATISTICS,
    Benchmark,
    ClassResult,
    RatingResult,
    benchmark,
    predictions_csv,
    write_predictions,
)
from perceptmetrics.evaluation.classes import ClassStatistics, evaluate_classes
from perceptmetrics.evaluation.curves import RatingCurve, fit_rating_curve
from perceptmetrics.evaluation.predictions import Predictions, predict_images
from perceptmetrics.evaluation.ratings import RatingStatistics, evaluate_ratings, evaluate_within_groups

__all__ = [
    "CLASS_STATISTICS",
    "RATING_STATISTICS",
    "Benchmark",
    "ClassResult",
    "ClassStatistics",
    "Predictions",
    "RatingCurve",
    "RatingResult",
    "RatingStatistics",
    "benchmark",
    "evaluate_classes",
    "evaluate_ratings",
    "evaluate_within_groups",
    "fit_rating_curve",
    "predict_images",
    "predictions_csv",
    "write_predictions",
]
