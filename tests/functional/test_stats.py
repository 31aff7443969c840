"""Statistics against their definitions, written out by hand, or against another algorithm."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import differential_evolution
from scipy.stats import pearsonr, spearmanr

from perceptmetrics.functional.stats import (
    binomial_interval,
    bootstrap_interval,
    fit_logistic4,
    krcc,
    logistic4,
    plcc,
    rmse,
    sign_test,
    srcc,
)

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


@given(pairs=PAIRS)
def test_krcc_counts_pairs_in_and_out_of_order(pairs):
    xs, ys = columns(pairs)
    both = list(itertools.combinations(zip(xs, ys, strict=True), 2))
    signs = (
        [(x > p) * 1 - (x < p) * 1 for (x, _), (p, _) in both],
        [(y > q) * 1 - (y < q) * 1 for (_, y), (_, q) in both],
    )
    agreement = sum(s * t for s, t in zip(*signs, strict=True))
    expected = agreement / math.sqrt(sum(abs(s) for s in signs[0]) * sum(abs(t) for t in signs[1]))
    assert krcc(xs, ys) == pytest.approx(expected, abs=1e-9)


def test_rmse_by_hand():
    assert rmse([1, 2, 3], [1, 4, 7]) == pytest.approx(math.sqrt((0 + 4 + 16) / 3))


@given(x=st.floats(-5, 5), b1=st.floats(-5, 5), b2=st.floats(-5, 5), b3=st.floats(-2, 2), b4=st.floats(0.1, 3))
def test_logistic4_is_its_formula(x, b1, b2, b3, b4):
    expected = b2 + (b1 - b2) / (1 + math.exp(-(x - b3) / b4))
    assert logistic4(x, b1, b2, b3, b4) == pytest.approx(expected, abs=1e-9)
    assert logistic4(x, b1, b2, b3, -b4) == pytest.approx(expected, abs=1e-9)


def test_logistic4_far_out_does_not_overflow():
    assert logistic4([-1e6, 1e6], 3, 1, 0, 1e-3).tolist() == [1, 3]


@settings(max_examples=25, deadline=None)
@given(b1=st.floats(60, 100), b2=st.floats(0, 40), b3=st.floats(0.3, 0.7), b4=st.floats(0.05, 0.3), falls=st.booleans())
def test_the_fit_finds_the_curve_that_made_the_points(b1, b2, b3, b4, falls):
    ends = (b2, b1) if falls else (b1, b2)
    x = [number / 30 for number in range(31)]
    fitted = fit_logistic4(x, logistic4(x, *ends, b3, b4))
    assert fitted == pytest.approx((*ends, b3, b4), rel=1e-3, abs=1e-3)


def test_the_fit_has_the_least_squares_of_another_optimiser():
    generator = np.random.default_rng(3)
    x = generator.uniform(0, 1, 80)
    y = 20 + 60 / (1 + np.exp(-(x - 0.4) / 0.1)) + generator.normal(0, 8, 80)
    other = differential_evolution(
        lambda b: sum(
            (b[1] + (b[0] - b[1]) / (1 + math.exp(-(p - b[2]) / b[3])) - q) ** 2 for p, q in zip(x, y, strict=True)
        ),
        [(40, 120), (-20, 60), (0, 1), (0.01, 1)],
        rng=0,
        tol=1e-10,
    )
    assert np.sum((logistic4(x, *fit_logistic4(x, y)) - y) ** 2) == pytest.approx(other.fun, rel=1e-6)


@given(pairs=PAIRS)
@settings(max_examples=40, deadline=None)
def test_the_fit_never_raises_and_never_hurts(pairs):
    xs, ys = columns(pairs)
    assume(len(xs) >= 5)
    fitted = logistic4(xs, *fit_logistic4(xs, ys))
    assert rmse(fitted, ys) <= float(np.std(ys)) + 1e-6


@pytest.mark.parametrize("xs", [[1, 2, 3, 4], [2, 2, 2, 2, 2]])
def test_points_that_determine_no_curve_are_refused(xs):
    with pytest.raises(ValueError, match="at least 5 points"):
        fit_logistic4(xs, range(len(xs)))


def test_the_bootstrap_covers_as_often_as_it_says():
    """Mean of 40 normal numbers: 95 % of the intervals should hold 0; 180..199 of 200 is within 3 deviations."""
    generator = np.random.default_rng(1)
    intervals = [bootstrap_interval(np.mean, generator.normal(size=40), repeats=300) for _ in range(200)]
    assert 178 <= sum(low <= 0 <= high for low, high in intervals) <= 199


def test_the_bootstrap_keeps_pairs_together_and_repeats_itself():
    xs = list(range(20))
    assert bootstrap_interval(plcc, xs, xs) == pytest.approx((1, 1))
    noisy_ys = np.random.default_rng(0).normal(size=20) + xs
    first = bootstrap_interval(srcc, xs, noisy_ys, seed=5)
    assert first == bootstrap_interval(srcc, xs, noisy_ys, seed=5)
    assert first != bootstrap_interval(srcc, xs, noisy_ys, seed=6)
    assert bootstrap_interval(srcc, xs, noisy_ys, level=0.5)[0] > first[0]


def test_the_bootstrap_leaves_out_draws_without_a_value():
    low, high = bootstrap_interval(plcc, [0, 1, 2], [0, 1, 2])
    assert (low, high) == pytest.approx((1, 1))
    assert all(math.isnan(end) for end in bootstrap_interval(plcc, [1, 1], [1, 1]))


@given(successes=st.integers(0, 30), failures=st.integers(0, 30))
def test_the_binomial_interval_solves_clopper_and_pearsons_equations(successes, failures):
    trials = successes + failures
    assume(trials > 0)

    def at_least(count, probability):
        return sum(
            math.comb(trials, k) * probability**k * (1 - probability) ** (trials - k) for k in range(count, trials + 1)
        )

    low, high = binomial_interval(successes, trials)
    if successes == 0:
        assert low == 0
    else:
        assert at_least(successes, low) == pytest.approx(0.025, abs=1e-6)
    if failures == 0:
        assert high == 1
    else:
        assert 1 - at_least(successes + 1, high) == pytest.approx(0.025, abs=1e-6)


@given(positive=st.integers(0, 25), negative=st.integers(0, 25))
def test_the_sign_test_adds_up_both_tails(positive, negative):
    trials = positive + negative
    tail = sum(math.comb(trials, k) for k in range(min(positive, negative) + 1)) / 2**trials
    assert sign_test(positive, negative) == pytest.approx(min(1, 2 * tail))
