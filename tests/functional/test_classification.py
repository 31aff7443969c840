"""Figures of classes against scikit-learn, against the metric's own grouping of labels, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from perceptmetrics.functional.classification import (
    accuracy,
    average_precision,
    binary_accuracy,
    confusion_matrix,
    f1_scores,
    macro_f1,
    mean_average_precision,
    weighted_f1,
)

COUNT = 4
CLASSES = st.integers(0, COUNT - 1)
ROWS = st.lists(
    st.tuples(CLASSES, st.lists(st.integers(0, 5), min_size=COUNT, max_size=COUNT)), min_size=1, max_size=30
)


def arrays(rows):
    """True classes and scores, with many ties among the scores."""
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows], dtype=float)


@given(rows=ROWS)
@settings(deadline=None)
def test_figures_of_predicted_classes_equal_scikit_learns(rows):
    truth, scores = arrays(rows)
    predicted = scores.argmax(axis=1)
    confusion = confusion_matrix(predicted, truth, COUNT)
    assert (confusion == reference.confusion_matrix(truth, predicted, labels=range(COUNT))).all()
    assert accuracy(predicted, truth) == pytest.approx(reference.accuracy_score(truth, predicted))
    assert macro_f1(confusion) == pytest.approx(reference.f1_score(truth, predicted, average="macro"))
    assert weighted_f1(confusion) == pytest.approx(reference.f1_score(truth, predicted, average="weighted"))


@given(rows=ROWS)
@settings(deadline=None)
def test_precision_equals_scikit_learns_for_every_class_that_occurs(rows):
    truth, scores = arrays(rows)
    expected = {
        number: reference.average_precision_score(truth == number, scores[:, number]) for number in set(truth.tolist())
    }
    for number, area in expected.items():
        assert average_precision(scores[:, number], truth == number) == pytest.approx(area)
    assert mean_average_precision(scores, truth) == pytest.approx(sum(expected.values()) / len(expected))


def test_precision_does_not_depend_on_the_order_of_tied_images():
    """All four images tie: one threshold, where half of them belong to the class."""
    assert average_precision([1, 1, 1, 1], [True, True, False, False]) == 0.5
    assert average_precision([1, 1, 1, 1], [False, False, True, True]) == 0.5
    assert math.isnan(average_precision([1, 2], [False, False]))


def test_classes_that_are_nowhere_have_no_f1():
    scores = f1_scores(confusion_matrix([0, 1, 1], [0, 0, 1], 3))
    assert scores[:2] == pytest.approx([2 / 3, 2 / 3])
    assert math.isnan(scores[2])


def test_binary_accuracy_sums_up_the_classes():
    """Classes 0 and 1 are positive. The most probable class of the first image is negative, their sum is positive."""
    probabilities = [[0.3, 0.3, 0.4, 0.0], [0.1, 0.2, 0.3, 0.4], [0.6, 0.0, 0.2, 0.2]]
    assert binary_accuracy(probabilities, [1, 3, 2], (0, 1)) == pytest.approx(2 / 3)
    assert binary_accuracy(probabilities, [1, 3, 2], (2, 3)) == pytest.approx(2 / 3)
    assert binary_accuracy(probabilities, [2, 3, 0], (0, 1)) == pytest.approx(2 / 3)
    assert binary_accuracy(probabilities, [3, 0, 2], (0, 1)) == 0


@given(rows=ROWS)
@settings(deadline=None)
def test_binary_accuracy_equals_the_accuracy_of_two_classes(rows):
    truth, scores = arrays(rows)
    sides = (scores[:, [1, 3]].sum(axis=1) > scores[:, [0, 2]].sum(axis=1)).astype(int)
    assert binary_accuracy(scores, truth, (1, 3)) == pytest.approx(reference.accuracy_score(truth % 2, sides))


def test_whatever_is_not_zero_is_true_for_the_average_precision():
    scores = [0.9, 0.8, 0.7, 0.6]
    assert average_precision(scores, [0, 2, 0, 5]) == average_precision(scores, [False, True, False, True])
