"""Statistics of classes against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as reference

from perceptmetrics.errors import DatasetError
from perceptmetrics.evaluation import evaluate_classes

LABELS = ("amusement", "awe", "anger", "fear")
PLEASANT = ("amusement", "awe")


def predictions(seed=0, count=120):
    generator = np.random.default_rng(seed)
    classes = generator.integers(0, 4, count)
    logits = generator.normal(size=(count, 4)) + 1.5 * np.eye(4)[classes]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), classes


def test_statistics_equal_scikit_learns():
    probabilities, classes = predictions()
    statistics = evaluate_classes(probabilities, classes, LABELS, PLEASANT)
    predicted = probabilities.argmax(axis=1)
    assert (statistics.n, statistics.labels) == (120, LABELS)
    assert statistics.accuracy == pytest.approx(reference.accuracy_score(classes, predicted))
    assert statistics.macro_f1 == pytest.approx(reference.f1_score(classes, predicted, average="macro"))
    assert statistics.weighted_f1 == pytest.approx(reference.f1_score(classes, predicted, average="weighted"))
    assert statistics.mean_average_precision == pytest.approx(
        reference.average_precision_score(np.eye(4)[classes], probabilities, average="macro")
    )
    assert np.array_equal(statistics.confusion, reference.confusion_matrix(classes, predicted))
    pleasant = probabilities[:, :2].sum(axis=1) > 0.5
    assert statistics.binary_accuracy == pytest.approx(reference.accuracy_score(classes < 2, pleasant))
    exact = binomtest(int((predicted == classes).sum()), 120).proportion_ci(0.95, "exact")
    assert statistics.accuracy_interval == pytest.approx((exact.low, exact.high))


def test_without_positive_labels_there_is_no_binary_accuracy():
    assert math.isnan(evaluate_classes(*predictions(), LABELS).binary_accuracy)


def test_probabilities_that_are_no_numbers_make_every_figure_undefined():
    probabilities, classes = predictions()
    probabilities[3, 1] = math.nan
    statistics = evaluate_classes(probabilities, classes, LABELS, PLEASANT)
    assert all(map(math.isnan, (statistics.accuracy, statistics.macro_f1, statistics.mean_average_precision)))


@pytest.mark.parametrize(
    ("shape", "classes", "positive", "message"),
    [
        ((3, 3), [0, 1, 2], (), r"probabilities of 4 classes .* got shape \(3, 3\)"),
        ((2, 4), [0, 1, 2], (), r"got shape \(2, 4\)"),
        ((0, 4), [], (), "one or more images"),
        ((3, 4), [0, 1, 4], (), "classes from 0 to 3"),
        ((3, 4), [0, -1, 2], (), "got -1 to 2"),
        ((3, 4), [0, 1, 2], ("amusment",), "Did you mean 'amusement'"),
    ],
)
def test_what_does_not_go_together_is_refused(shape, classes, positive, message):
    with pytest.raises(DatasetError, match=message):
        evaluate_classes(np.full(shape, 0.25), classes, LABELS, positive)
