"""Correlation coefficients against their definitions, written out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from perceptmetrics.functional.stats import plcc, srcc

PAIRS = st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=3, max_size=30)


def pearson(xs, ys):
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    covariance = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return covariance / math.sqrt(sum((x - mean_x) ** 2 for x in xs) * sum((y - mean_y) ** 2 for y in ys))


def ranks(values):
    """Ranks from 1, ties sharing their mean."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2 for value in values
    ]


def columns(pairs):
    xs, ys = ([float(pair[place]) for pair in pairs] for place in (0, 1))
    assume(len(set(xs)) > 1 and len(set(ys)) > 1)
    return xs, ys


@given(pairs=PAIRS)
def test_plcc_is_the_covariance_over_the_deviations(pairs):
    xs, ys = columns(pairs)
    assert plcc(xs, ys) == pytest.approx(pearson(xs, ys), abs=1e-9)
    assert plcc(xs, ys) == pytest.approx(pearsonr(xs, ys).statistic, abs=1e-9)


@given(pairs=PAIRS)
def test_srcc_is_the_plcc_of_the_ranks(pairs):
    xs, ys = columns(pairs)
    assert srcc(xs, ys) == pytest.approx(pearson(ranks(xs), ranks(ys)), abs=1e-9)
    assert srcc(xs, ys) == pytest.approx(spearmanr(xs, ys).statistic, abs=1e-9)


@given(pairs=PAIRS)
def test_srcc_ignores_what_keeps_the_order(pairs):
    xs, ys = columns(pairs)
    assert srcc([math.atan(x) for x in xs], ys) == pytest.approx(srcc(xs, ys))
    assert srcc([-x for x in xs], ys) == pytest.approx(-srcc(xs, ys))


@given(pairs=PAIRS, scale=st.floats(0.1, 10), shift=st.floats(-10, 10))
def test_plcc_ignores_positive_affine_maps(pairs, scale, shift):
    xs, ys = columns(pairs)
    assert plcc([scale * x + shift for x in xs], ys) == pytest.approx(plcc(xs, ys), abs=1e-6)


@pytest.mark.parametrize("statistic", [plcc, srcc])
def test_results_are_plain_numbers_whatever_came_in(statistic):
    xs, ys = [1.0, 2.0, 4.0], [1.0, 3.0, 9.0]
    value = statistic(torch.tensor(xs), tuple(ys))
    assert type(value) is float
    assert value == pytest.approx(statistic(xs, ys))


def test_the_two_differ_where_they_should():
    xs, ys = [1, 2, 3, 4], [1, 2, 3, 100]
    assert srcc(xs, ys) == pytest.approx(1)
    assert plcc(xs, ys) < 0.9
