"""Fitted curves against their formulas, against the curves that made the points, and against another optimiser."""

from __future__ import annotations

import contextlib
import math
import warnings
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit, differential_evolution

from perceptmetrics.functional.curves import fit_logistic4, fit_logistic5, logistic4, logistic5
from perceptmetrics.functional.stats import mse, rmse
from tests.functional.test_stats import PAIRS, columns


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


@given(
    x=st.floats(-5, 5), b1=st.floats(-5, 5), b2=st.floats(0.1, 5), b3=st.floats(-2, 2), b4=st.floats(-2, 2),
    b5=st.floats(-5, 5),
)  # fmt: skip
def test_logistic5_is_its_formula(x, b1, b2, b3, b4, b5):
    expected = b1 * (1 / 2 - 1 / (1 + math.exp(b2 * (x - b3)))) + b4 * x + b5
    assert logistic5(x, b1, b2, b3, b4, b5) == pytest.approx(expected, abs=1e-9)


def test_logistic5_far_out_does_not_overflow():
    assert logistic5([-1e6, 1e6], 4, 1e3, 0, 0, 1).tolist() == [-1, 3]


@settings(max_examples=25, deadline=None)
@given(
    b1=st.floats(20, 60), b2=st.floats(8, 25), b3=st.floats(0.3, 0.7), b4=st.floats(5, 40), b5=st.floats(0, 40),
    falls=st.booleans(),
)  # fmt: skip
def test_the_fit_of_five_finds_the_curve_that_made_the_points(b1, b2, b3, b4, b5, falls):
    sign = -1 if falls else 1
    x = np.linspace(0, 1, 41)
    points = logistic5(x, sign * b1, b2, b3, sign * b4, b5)
    fitted = fit_logistic5(x, points)
    assert logistic5(x, *fitted) == pytest.approx(points, abs=1e-3)
    assert fitted == pytest.approx((sign * b1, b2, b3, sign * b4, b5), rel=1e-2, abs=1e-2)


def ratings_of_a_curved_metric(seed, noise):
    generator = np.random.default_rng(seed)
    x = generator.uniform(10, 30, 120)
    return x, 20 + 60 / (1 + np.exp(-(x - 18) / 2)) + 0.5 * x + generator.normal(0, noise, x.size)


@pytest.mark.parametrize("seed", range(4))
def test_the_fit_of_five_equals_the_usual_optimiser_started_near_the_truth(seed):
    x, y = ratings_of_a_curved_metric(seed, 6)
    formula = lambda x, b1, b2, b3, b4, b5: b1 * (1 / 2 - 1 / (1 + np.exp(b2 * (x - b3)))) + b4 * x + b5  # noqa: E731
    other, _ = curve_fit(formula, x, y, p0=(60, 0.5, 18, 0.5, 50), maxfev=20000)
    assert mse(logistic5(x, *fit_logistic5(x, y)), y) == pytest.approx(mse(formula(x, *other), y), rel=1e-6)


@given(pairs=PAIRS)
@settings(max_examples=20, deadline=None)
def test_five_parameters_never_fit_worse_than_four_or_than_a_line(pairs):
    xs, ys = columns(pairs)
    assume(len(xs) >= 6)
    five = mse(logistic5(xs, *fit_logistic5(xs, ys)), ys)
    assert five <= mse(logistic4(xs, *fit_logistic4(xs, ys)), ys) + 1e-9
    assert five <= mse(np.polyval(np.polyfit(xs, ys, 1), xs), ys) + 1e-9


@pytest.mark.parametrize("xs", [[1, 2, 3, 4, 5], [2, 2, 2, 2, 2, 2]])
def test_points_that_determine_no_curve_of_five_are_refused(xs):
    with pytest.raises(ValueError, match="at least 6 points"):
        fit_logistic5(xs, range(len(xs)))


@pytest.mark.parametrize("fit", [fit_logistic4, fit_logistic5])
def test_curves_are_fitted_to_numbers_of_any_type(fit):
    xs, ys = [1.0, 2.5, 3.0, 4.5, 4.75, 6.0, 7.0], [2.0, 1.0, 3.5, 3.0, 5.0, 6.5, 6.0]
    expected = fit(xs, ys)
    assert fit(xs, list(map(Decimal, ys))) == expected
    assert fit(list(map(Decimal, xs)), ys) == expected


@pytest.mark.parametrize("count", [700, 5000])
def test_curves_of_many_points_are_found_again(count):
    x = np.random.default_rng(4).permutation(np.linspace(-3, 5, count))
    assert fit_logistic4(x, logistic4(x, 80.0, 20.0, 1.5, 0.4)) == pytest.approx((80.0, 20.0, 1.5, 0.4), rel=1e-4)
    five = (-30.0, 2.5, 1.0, 1.5, 40.0)
    found = fit_logistic5(x, logistic5(x, *five))
    np.testing.assert_allclose(logistic5(x, *found), logistic5(x, *five), atol=1e-4)


def small_samples(count):
    """Few points, heavy tails, weak relations: what the usual optimiser often gives up on."""
    generator = np.random.default_rng(11)
    for _ in range(count):
        x = np.exp(generator.normal(size=int(generator.integers(8, 40))) * generator.uniform(0.2, 2))
        standardised = (x - x.mean()) / x.std()
        y = 50 + 30 * np.tanh(standardised * generator.uniform(0.3, 5))
        yield x, y + generator.normal(size=x.size) * generator.uniform(1, 30)


def least_of_the_usual(formula, starts, x, y):
    """The least squares that `curve_fit` finds from its usual starts."""
    found = []
    for start in starts:
        with warnings.catch_warnings(), contextlib.suppress(RuntimeError):
            warnings.simplefilter("ignore")
            found.append(mse(formula(x, *curve_fit(formula, x, y, p0=start, maxfev=2000)[0]), y))
    return min(found, default=math.inf)


def test_small_samples_are_fitted_no_worse_than_by_the_usual_optimiser():
    for x, y in small_samples(20):
        middles = (x.mean(), np.median(x))
        four = [(y.max(), y.min(), middle, x.std() / 4) for middle in middles] + [(y.min(), y.max(), x.mean(), x.std())]
        usual = least_of_the_usual(logistic4, four, x, y)
        assert mse(logistic4(x, *fit_logistic4(x, y)), y) <= usual + 1e-4 * np.var(y)
        five = [(np.ptp(y), 1 / x.std(), middle, 0, y.mean()) for middle in middles] + [(-1, 1, 0, 1, 0)]
        usual = least_of_the_usual(logistic5, five, x, y)
        assert mse(logistic5(x, *fit_logistic5(x, y)), y) <= usual + 1e-4 * np.var(y)


NORMAL = np.random.default_rng(0).normal(size=(2, 200))


@pytest.mark.parametrize(
    ("x", "y", "explained"),
    [
        pytest.param(np.append(NORMAL[0], 1000), np.append(50 + 30 * np.tanh(3 * NORMAL[0]), 55), 0.95, id="outlier"),
        pytest.param(NORMAL[0], (NORMAL[0] > 1.8) * 50 + NORMAL[1], 0.95, id="step at one end"),
        pytest.param(NORMAL[0] * 1e-6 + 0.5, 50 + 30 * np.tanh(NORMAL[0]), 0.999, id="tiny differences"),
        pytest.param(NORMAL[0] * 1e9, 50 + 30 * np.tanh(NORMAL[0]), 0.999, id="huge scores"),
        pytest.param(np.sign(NORMAL[0]) * 5 + NORMAL[1] / 99, np.sign(NORMAL[0]) * 30 + NORMAL[1], 0.99, id="clusters"),
        pytest.param(np.repeat([0.0, 1.0], 50), np.repeat([20.0, 80.0], 50) + NORMAL[0, :100], 0.99, id="two scores"),
    ],
)
@pytest.mark.parametrize(("fit", "curve"), [(fit_logistic4, logistic4), (fit_logistic5, logistic5)])
def test_hard_relations_are_found(fit, curve, x, y, explained):
    assert 1 - mse(curve(x, *fit(x, y)), y) / np.var(y) > explained


@pytest.mark.parametrize(("fit", "curve"), [(fit_logistic4, logistic4), (fit_logistic5, logistic5)])
def test_equal_ratings_give_a_flat_curve(fit, curve):
    np.testing.assert_allclose(curve(NORMAL[0], *fit(NORMAL[0], np.full(200, 50.0))), 50)
