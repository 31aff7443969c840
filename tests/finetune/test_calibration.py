"""Lines from outputs to ratings against NumPy's and SciPy's fits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit
from scipy.special import expit

from perceptmetrics.finetune.calibration import Calibration, fit_calibration, fold_calibration
from perceptmetrics.models.pool import Pool
from perceptmetrics.spec import PoolSpec, RegressorSpec
from tests.support.mean_colour_metric import tiny_metric


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    raw = rng.normal(3, 20, (60, 2))
    ratings = np.clip(0.4 + raw * [0.01, 0.004] + rng.normal(0, 0.05, (60, 2)), 0.02, 0.98)
    return raw, ratings


def test_line_is_that_of_least_squares(pairs):
    fitted = fit_calibration(*pairs, logistic=False)
    for column, (raw, ratings) in enumerate(zip(pairs[0].T, pairs[1].T, strict=True)):
        slope, shift = np.polyfit(raw, ratings, 1)
        assert fitted.slope[column] == pytest.approx(slope)
        assert fitted.shift[column] == pytest.approx(shift)


def test_logistic_line_is_that_of_least_squares(pairs):
    fitted = fit_calibration(*pairs, logistic=True)
    for column, (raw, ratings) in enumerate(zip(pairs[0].T, pairs[1].T, strict=True)):
        (slope, shift), _ = curve_fit(lambda x, a, b: expit(a * x + b), raw, ratings, p0=(0.01, 0.0))
        assert fitted.slope[column] == pytest.approx(slope, rel=1e-3)
        assert fitted.shift[column] == pytest.approx(shift, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("logistic", [False, True])
def test_images_without_a_rating_are_left_out(pairs, logistic):
    raw, ratings = pairs[0], pairs[1].copy()
    ratings[::3, 0] = np.nan
    fitted = fit_calibration(raw, ratings, logistic=logistic)
    known = ~np.isnan(ratings[:, 0])
    alone = fit_calibration(raw[known, :1], ratings[known, :1], logistic=logistic)
    assert fitted.slope[0] == pytest.approx(alone.slope[0])
    assert fitted.shift[0] == pytest.approx(alone.shift[0])


@pytest.mark.parametrize("logistic", [False, True])
def test_column_that_nobody_rated_stays_as_it_is(pairs, logistic):
    ratings = pairs[1].copy()
    ratings[:, 1] = np.nan
    fitted = fit_calibration(pairs[0], ratings, logistic=logistic)
    assert (fitted.slope[1], fitted.shift[1]) == (1, 0)


@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("raw", ["reversed", "constant"])
def test_order_is_never_turned_round(pairs, raw, logistic):
    outputs = -pairs[0] if raw == "reversed" else np.full_like(pairs[0], 7.0)
    fitted = fit_calibration(outputs, pairs[1], logistic=logistic)
    assert (fitted.slope > 0).all()
    scores = fitted(outputs)
    near = expit(scores) if logistic else scores
    assert np.abs(near.mean(axis=0) - pairs[1].mean(axis=0)).max() < 0.05


def test_lines_work_column_by_column():
    line = Calibration(slope=np.array([2.0, 3.0]), shift=np.array([1.0, -1.0]))
    np.testing.assert_array_equal(line(np.array([[1.0, 1.0], [0.0, 2.0]])), [[3, 2], [1, 5]])


@pytest.mark.parametrize("regressor", [False, True])
def test_folded_head_gives_the_calibrated_outputs(regressor):
    labels = ("a", "b")
    metric = tiny_metric(labels=labels)
    if regressor:
        torch.manual_seed(0)
        metric.pool = Pool(PoolSpec(regressor=RegressorSpec(widths=(2, 5, 2), weights=None)))
    line = Calibration(slope=np.array([0.3, 4.0]), shift=np.array([-0.2, 0.6]))
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = metric(images).double().numpy()
        fold_calibration(metric, line)
        after = metric(images).double().numpy()
    np.testing.assert_allclose(after, line(before), rtol=1e-5, atol=1e-6)
    assert np.abs(after - before).max() > 0.1
