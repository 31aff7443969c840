"""Metrics and predictions against human labels: figures as frozen dataclasses, and a file of predictions."""

from __future__ import annotations

from perceptmetrics.evaluation.classes import ClassFigures, evaluate_classes
from perceptmetrics.evaluation.curves import RatingCurve, fit_rating_curve
from perceptmetrics.evaluation.ratings import RatingFigures, evaluate_ratings, evaluate_within_groups

__all__ = [
    "ClassFigures",
    "RatingCurve",
    "RatingFigures",
    "evaluate_classes",
    "evaluate_ratings",
    "evaluate_within_groups",
    "fit_rating_curve",
]
