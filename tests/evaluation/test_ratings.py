"""Statistics of ratings against SciPy and scikit-learn, in the unit of the rating, and honest where a fit is not."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.stats import kendalltau, pearsonr, spearmanr
from sklearn.metrics import mean_squared_error, root_mean_squared_error

from perceptmetrics.datasets import Scale
from perceptmetrics.errors import DatasetError
from perceptmetrics.evaluation import evaluate_ratings, evaluate_within_groups, fit_rating_curve
from perceptmetrics.functional.curves import logistic4


def curved(count=200, noise=0.05, seed=0):
    """Predictions in [0, 1] and ratings that follow them along an S."""
    generator = np.random.default_rng(seed)
    predictions = generator.uniform(0, 1, count)
    ratings = 0.1 + 0.8 / (1 + np.exp(-(predictions - 0.5) / 0.1)) + generator.normal(0, noise, count)
    return predictions, ratings


def four(x, b1, b2, b3, b4):
    return b2 + (b1 - b2) / (1 + np.exp(-(x - b3) / b4))


def five(x, b1, b2, b3, b4, b5):
    return b1 * (1 / 2 - 1 / (1 + np.exp(b2 * (x - b3)))) + b4 * x + b5


def test_statistics_equal_those_of_other_libraries():
    predictions, ratings = curved()
    statistics = evaluate_ratings(predictions, ratings)
    assert statistics.n == 200
    assert statistics.srcc == pytest.approx(spearmanr(predictions, ratings).statistic)
    assert statistics.plcc == pytest.approx(pearsonr(predictions, ratings).statistic)
    assert statistics.krcc == pytest.approx(kendalltau(predictions, ratings).statistic)
    assert statistics.mse == pytest.approx(mean_squared_error(ratings, predictions))
    assert statistics.rmse == pytest.approx(root_mean_squared_error(ratings, predictions))
    fitted4 = four(predictions, *curve_fit(four, predictions, ratings, p0=(1, 0, 0.5, 0.1))[0])
    assert statistics.plcc_logistic4 == pytest.approx(pearsonr(fitted4, ratings).statistic, abs=1e-6)
    assert statistics.rmse_logistic4 == pytest.approx(root_mean_squared_error(ratings, fitted4), rel=1e-5)
    fitted5 = five(predictions, *curve_fit(five, predictions, ratings, p0=(0.8, 10, 0.5, 0, 0.5))[0])
    assert statistics.plcc_logistic5 == pytest.approx(pearsonr(fitted5, ratings).statistic, abs=1e-6)
    assert (statistics.curve4.kind, statistics.curve5.kind) == ("logistic4", "logistic5")
    assert statistics.curve4.fallback == statistics.curve5.fallback == ""


def test_intervals_hold_the_statistics_and_are_left_out_when_not_wanted():
    predictions, ratings = curved(60, noise=0.2)
    statistics = evaluate_ratings(predictions, ratings, seed=3)
    for value, (low, high) in (
        (statistics.srcc, statistics.srcc_interval),
        (statistics.plcc, statistics.plcc_interval),
    ):
        assert value - 0.2 < low < value < high < 1
    assert statistics == evaluate_ratings(predictions, ratings, seed=3)
    assert statistics.srcc_interval != evaluate_ratings(predictions, ratings, seed=4).srcc_interval
    assert evaluate_ratings(predictions, ratings, intervals=False).srcc_interval is None


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_errors_are_in_the_unit_of_the_scale(higher_is_better):
    predictions, ratings = curved()
    scale = Scale(lower=1, upper=5, higher_is_better=higher_is_better)
    statistics = evaluate_ratings(predictions, ratings, scale=scale, intervals=False)
    native = scale.restore(predictions), scale.restore(ratings)
    assert statistics.rmse == pytest.approx(root_mean_squared_error(*native))
    assert statistics.mse == pytest.approx(mean_squared_error(*native))
    fitted = scale.restore(statistics.curve4(predictions))
    assert statistics.rmse_logistic4 == pytest.approx(root_mean_squared_error(fitted, native[1]))
    assert statistics.srcc == pytest.approx(abs(spearmanr(*native).statistic))


def test_images_without_a_rating_are_left_out():
    predictions, ratings = curved(50)
    holes = np.where(np.arange(50) % 5 == 0, np.nan, ratings)
    statistics = evaluate_ratings(predictions, holes, intervals=False)
    kept = ~np.isnan(holes)
    assert statistics == evaluate_ratings(predictions[kept], ratings[kept], intervals=False)
    assert statistics.n == 40


@pytest.mark.parametrize(
    ("predictions", "kind", "reason"),
    [
        ([0.1, 0.2, 0.3, 0.5], "linear", "4 distinct scores do not determine it"),
        ([0.1, 0.2, 0.3, 0.5] * 5, "linear", "4 distinct scores do not determine it"),
        ([0.5] * 20, "none", "no line is determined"),
    ],
    ids=["four images", "four distinct scores", "constant"],
)
def test_what_determines_no_logistic_curve_falls_back(predictions, kind, reason, caplog):
    ratings = np.random.default_rng(0).uniform(size=len(predictions))
    with caplog.at_level(logging.WARNING):
        statistics = evaluate_ratings(predictions, ratings, intervals=False)
    assert statistics.curve4.kind == statistics.curve5.kind == kind
    assert reason in statistics.curve4.fallback
    assert statistics.plcc_logistic4 == pytest.approx(statistics.plcc, nan_ok=True)
    assert math.isnan(statistics.plcc) == (kind == "none")
    assert f"PLCC after logistic4 uses {kind} instead" in caplog.text


def test_a_metric_against_the_ratings_is_not_flattered():
    """Squared or fitted with a falling curve, its correlation would be as good as that of its opposite."""
    predictions, ratings = curved()
    good, bad = (evaluate_ratings(sign * predictions, ratings, intervals=False) for sign in (1, -1))
    assert good.plcc_logistic4 > 0.95
    assert bad.plcc_logistic4 == bad.plcc_logistic5 == bad.plcc == pytest.approx(-good.plcc)
    assert bad.curve4.kind == "linear"
    assert bad.curve4.fallback == "logistic4: it does not rise with the score"


def test_a_curve_that_turns_back_is_not_used():
    """The worst images score in the middle: a curve of five parameters goes down and up again."""
    predictions = np.linspace(0, 1, 60)
    ratings = np.abs(predictions - 0.4) + 0.01 * np.sin(50 * predictions)
    statistics = evaluate_ratings(predictions, ratings, intervals=False)
    assert statistics.curve5.kind != "logistic5"
    assert "logistic5: it turns back" in statistics.curve5.fallback


def test_a_step_is_not_used():
    """One outlier far above: a step there explains it, and nothing about the others."""
    predictions = np.append(np.linspace(0, 1, 40), 1.2)
    ratings = np.append(np.tile([0, 0.1], 20), 1)
    curve = fit_rating_curve(predictions, ratings, "logistic4")
    assert (curve.kind, curve.fallback) == ("linear", "logistic4: it is a step")


def test_noise_is_not_flattered():
    """Of uncorrelated predictions, curves of either direction would on average correlate by more than 0.1."""
    generator = np.random.default_rng(0)
    noise = [(generator.normal(size=60), generator.normal(size=60)) for _ in range(24)]
    statistics = [evaluate_ratings(*pair, intervals=False) for pair in noise]
    for after in ([row.plcc_logistic4 for row in statistics], [row.plcc_logistic5 for row in statistics]):
        assert abs(float(np.mean(after))) < 0.08
        assert min(after) < -0.1


def test_a_straight_relation_keeps_its_logistic_curve():
    x = np.linspace(0, 1, 30)
    y = 0.3 + 0.4 * x
    for kind in ("logistic4", "logistic5"):
        curve = fit_rating_curve(x, y, kind)
        assert curve.kind == kind, curve.fallback
        assert curve(x) == pytest.approx(y, abs=1e-3)


def test_a_curve_gives_ratings_of_new_scores():
    predictions, ratings = curved()
    curve = fit_rating_curve(predictions, ratings, "logistic4")
    assert curve([0.2, 0.7]) == pytest.approx(logistic4([0.2, 0.7], *curve.parameters))
    line = fit_rating_curve([1, 2, 3], [2, 4, 6], "logistic4")
    assert line([10]) == pytest.approx([20])
    assert np.isnan(fit_rating_curve([1, 1], [2, 4], "logistic4")([1, 5])).all()


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_prediction_that_is_no_number_makes_every_figure_undefined(broken):
    predictions, ratings = curved(20)
    statistics = evaluate_ratings([broken, *predictions[1:]], ratings)
    numbers = (
        statistics.srcc,
        statistics.plcc,
        statistics.krcc,
        statistics.rmse,
        statistics.mse,
        *statistics.srcc_interval,
    )
    assert all(map(math.isnan, numbers))
    assert math.isnan(statistics.plcc_logistic4)


def test_one_image_has_errors_and_no_correlation():
    statistics = evaluate_ratings([0.4], [0.6])
    assert statistics.rmse == pytest.approx(0.2)
    assert math.isnan(statistics.srcc)


@pytest.mark.parametrize(
    ("predictions", "ratings", "message"),
    [
        ([1, 2], [1, 2, 3], r"got shapes \(2,\) and \(3,\)"),
        ([[1, 2]], [[1, 2]], r"got shapes \(1, 2\) and \(1, 2\)"),
        ([1, 2], [math.nan, math.nan], "None of 2 images has a rating"),
    ],
)
def test_what_does_not_go_together_is_refused(predictions, ratings, message):
    with pytest.raises(DatasetError, match=message):
        evaluate_ratings(predictions, ratings)


def test_within_groups_the_levels_of_the_groups_do_not_matter():
    generator = np.random.default_rng(0)
    groups = [f"photograph {number // 5}" for number in range(40)]
    level = np.repeat(generator.uniform(0, 100, 8), 5)
    ratings = np.tile([0.1, 0.3, 0.5, 0.6, 0.9], 8)
    predictions = level + ratings + generator.normal(0, 0.15, 40)
    statistics = evaluate_within_groups(predictions, ratings, groups)
    parts = [slice(start, start + 5) for start in range(0, 40, 5)]
    assert statistics.srcc == pytest.approx(np.mean([spearmanr(predictions[p], ratings[p]).statistic for p in parts]))
    assert statistics.plcc == pytest.approx(np.mean([pearsonr(predictions[p], ratings[p]).statistic for p in parts]))
    assert statistics.krcc == pytest.approx(np.mean([kendalltau(predictions[p], ratings[p]).statistic for p in parts]))
    assert statistics.srcc > 0.8 > abs(spearmanr(predictions, ratings).statistic)
    assert statistics.srcc_interval[0] < statistics.srcc < statistics.srcc_interval[1]
    assert math.isnan(statistics.rmse)
    assert statistics.curve4.kind == "none"
