"""Statistics against their definitions, written out by hand, or against another algorithm."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal
from inspect import signature
from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import bootstrap, kendalltau, pearsonr, spearmanr
from sklearn.metrics import mean_squared_error, root_mean_squared_error

from perceptmetrics.functional.stats import (
    binomial_interval,
    bootstrap_interval,
    krcc,
    mse,
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


def test_errors_by_hand():
    assert mse([1, 2, 3], [1, 4, 7]) == pytest.approx((0 + 4 + 16) / 3)
    assert rmse([1, 2, 3], [1, 4, 7]) == pytest.approx(math.sqrt((0 + 4 + 16) / 3))


@given(pairs=PAIRS)
def test_errors_and_krcc_equal_other_libraries(pairs):
    xs, ys = columns(pairs)
    assert mse(xs, ys) == pytest.approx(mean_squared_error(ys, xs))
    assert rmse(xs, ys) == pytest.approx(root_mean_squared_error(ys, xs))
    assert krcc(xs, ys) == pytest.approx(kendalltau(xs, ys).statistic, abs=1e-9)


@pytest.mark.parametrize("statistic", [plcc, srcc, krcc])
@pytest.mark.parametrize("constant", [[2, 2, 2], [0.1 + 0.2, 0.3, 0.3], [1, 2, math.nan], [1, 2, math.inf]], ids=str)
def test_what_cannot_correlate_has_no_coefficient(statistic, constant):
    assert math.isnan(statistic(constant, [1, 2, 3]))
    assert math.isnan(statistic([1, 2, 3], constant))


@pytest.mark.parametrize("statistic", [plcc, srcc, krcc])
def test_one_pair_has_no_coefficient_and_unequal_lengths_are_refused(statistic):
    assert math.isnan(statistic([1], [2]))
    assert math.isnan(statistic([], []))
    with pytest.raises(ValueError, match=r"got shapes \(3,\) and \(2,\)"):
        statistic([1, 2, 3], [1, 2])


def test_the_bootstrap_covers_as_often_as_it_says():
    """Of 400 intervals of the mean of 40 normal numbers, 372 hold 0; those of 90 % hold it 353 times."""
    generator = np.random.default_rng(1)
    intervals = [bootstrap_interval(np.mean, generator.normal(size=40), repeats=300) for _ in range(400)]
    assert 361 <= sum(low <= 0 <= high for low, high in intervals) <= 390


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_the_bootstrap_of_a_mean_is_as_wide_as_the_normal_interval(level):
    """The mean of 1,000 numbers is normal; 4,000 draws find its quantiles to a tenth of its standard error."""
    numbers = np.random.default_rng(2).normal(size=1000)
    error = numbers.std() / math.sqrt(1000)
    reach = NormalDist().inv_cdf((1 + level) / 2) * error
    low, high = bootstrap_interval(np.mean, numbers, level=level, repeats=4000)
    assert (low, high) == pytest.approx((numbers.mean() - reach, numbers.mean() + reach), abs=0.1 * error)


def test_an_interval_covers_95_per_cent_unless_it_is_told_otherwise():
    numbers = np.random.default_rng(3).normal(size=50)
    assert bootstrap_interval(np.mean, numbers) == bootstrap_interval(np.mean, numbers, level=0.95)
    assert bootstrap_interval(np.mean, numbers) == bootstrap_interval(np.mean, numbers, repeats=1000, seed=0)
    assert binomial_interval(7, 20) == binomial_interval(7, 20, level=0.95)


def test_the_bootstrap_keeps_pairs_together_and_repeats_itself():
    xs = list(range(20))
    assert bootstrap_interval(plcc, xs, xs) == pytest.approx((1, 1))
    noisy_ys = np.random.default_rng(0).normal(size=20) + xs
    first = bootstrap_interval(srcc, xs, noisy_ys, seed=5)
    assert first == bootstrap_interval(srcc, xs, noisy_ys, seed=5)
    assert first != bootstrap_interval(srcc, xs, noisy_ys, seed=6)
    assert bootstrap_interval(srcc, xs, noisy_ys, level=0.5)[0] > first[0]


@pytest.mark.parametrize("statistic", [srcc, plcc, rmse])
def test_the_bootstrap_equals_scipys(statistic):
    xs = np.random.default_rng(0).normal(size=30)
    ys = xs + np.random.default_rng(1).normal(size=30)
    keyword = "rng" if "rng" in signature(bootstrap).parameters else "random_state"  # since SciPy 1.15
    drawn = bootstrap(
        (xs, ys),
        statistic,
        paired=True,
        vectorized=False,
        n_resamples=200,
        confidence_level=0.9,
        method="percentile",
        **{keyword: np.random.default_rng(7)},
    )
    interval = bootstrap_interval(statistic, xs, ys, level=0.9, repeats=200, seed=7)
    assert interval == pytest.approx(drawn.confidence_interval, rel=1e-12)


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


@pytest.mark.parametrize("statistic", [plcc, srcc, krcc, mse, rmse])
def test_numbers_of_any_type_are_numbers(statistic):
    xs, ys = [1.0, 2.5, 3.0, 4.5, 4.75, 6.0], [2.0, 1.0, 3.5, 3.0, 5.0, 6.5]
    expected = statistic(xs, ys)
    assert statistic(xs, list(map(Decimal, ys))) == expected
    assert statistic(list(map(Decimal, xs)), ys) == expected
