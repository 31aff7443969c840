"""Metrics and predictions against human labels: figures as frozen dataclasses, and a file of predictions."""

from __future__ import annotations

from perceptmetrics.evaluation.benchmarking import (
    CLASS_FIGURES,
    RATING_FIGURES,
    Benchmark,
    ClassResult,
    RatingResult,
    benchmark,
)
from perceptmetrics.evaluation.classes import ClassFigures, evaluate_classes
from perceptmetrics.evaluation.curves import RatingCurve, fit_rating_curve
from perceptmetrics.evaluation.predictions import Predictions, predict_images
from perceptmetrics.evaluation.predictions_file import predictions_csv, write_predictions
from perceptmetrics.evaluation.ratings import RatingFigures, evaluate_ratings, evaluate_within_groups

__all__ = [
    "CLASS_FIGURES",
    "RATING_FIGURES",
    "Benchmark",
    "ClassFigures",
    "ClassResult",
    "Predictions",
    "RatingCurve",
    "RatingFigures",
    "RatingResult",
    "benchmark",
    "evaluate_classes",
    "evaluate_ratings",
    "evaluate_within_groups",
    "fit_rating_curve",
    "predict_images",
    "predictions_csv",
    "write_predictions",
]
