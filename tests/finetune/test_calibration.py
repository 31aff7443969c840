"""Lines from outputs to ratings against NumPy's and SciPy's fits."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit
from scipy.special import expit

from perceptmetrics.finetune.run import calibration as calibration_module
from perceptmetrics.finetune.run.calibration import (
    Calibration,
    RatingScale,
    best_of_groups,
    fit_calibration,
    fold_calibration,
)
from perceptmetrics.models.pool import Pool
from perceptmetrics.spec import IdentityMap, LogisticMap, PoolSpec, RegressorSpec
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


@pytest.mark.parametrize("rating", [0.0, 1.0])
def test_logistic_line_to_ratings_that_are_all_at_an_end_is_finite(rating):
    fitted = fit_calibration(np.arange(6.0)[:, None], np.full((6, 1), rating), logistic=True)
    assert np.isfinite([fitted.slope, fitted.shift]).all()
    assert np.abs(expit(fitted(np.arange(6.0)[:, None])) - rating).max() < 0.1


# All calibrations of a run

TRAIN, VALIDATION, TEST = np.arange(0, 30), np.arange(30, 45), np.arange(45, 60)


class Run:
    """A run of `RatingScale`, whose models give known outputs."""

    def __init__(
        self,
        monkeypatch,
        *,
        heads=1,
        sets=1,
        loss="plcc",
        losses=None,
        score_map="identity",
        calibrated=False,
        calibration="ratings",
    ):
        rng = np.random.default_rng(5)
        self.raw = [rng.normal(3 * index, 1 + index, (60, 1)) for index in range(sets)]
        self.ratings = [
            0.5 + 0.1 * (index + 1) * (raw - raw.mean()) + rng.normal(0, 0.02, raw.shape)
            for index, raw in enumerate(self.raw)
        ]
        monkeypatch.setattr(
            calibration_module, "predict", lambda learner, index, feed, images, processes: learner[index][images]
        )
        entries = [SimpleNamespace(loss=one) for one in losses or [None] * sets]
        spec = SimpleNamespace(
            head=SimpleNamespace(is_calibrated=calibrated),
            pool=SimpleNamespace(regressor=None),
            score=SimpleNamespace(map=LogisticMap() if score_map == "logistic" else IdentityMap()),
        )
        recipe = SimpleNamespace(loss=loss, data=entries, score_map=score_map, calibration=calibration)
        self.specs = [spec] * heads
        self.scale = RatingScale(SimpleNamespace(recipe=recipe, specs=self.specs, processes=None))

    def trial(self, *, validation=VALIDATION, factor=1.0):
        split = SimpleNamespace(train=TRAIN, validation=validation, test=TEST)
        sets = [
            SimpleNamespace(dataset=SimpleNamespace(ratings=ratings), split=split, feed=None)
            for ratings in self.ratings
        ]
        return SimpleNamespace(learner=[factor * raw for raw in self.raw], sets=sets)


def assert_same_line(one, other):
    np.testing.assert_allclose([one.slope, one.shift], [other.slope, other.shift], rtol=1e-6)


@pytest.mark.parametrize("score_map", ["identity", "logistic"])
def test_each_head_is_calibrated_on_the_validation_images_of_its_data_set(monkeypatch, score_map):
    run = Run(monkeypatch, heads=2, sets=2, score_map=score_map)
    fitted = run.scale.fit(run.trial())
    for index, line in enumerate(fitted):
        images = run.raw[index][VALIDATION], run.ratings[index][VALIDATION]
        assert_same_line(line, fit_calibration(*images, logistic=score_map == "logistic"))
        scores = run.scale.scores(run.trial(), index, line)
        expected = line(run.raw[index][TEST])
        np.testing.assert_allclose(scores, expit(expected) if score_map == "logistic" else expected)
    assert not np.allclose(fitted[0].slope, fitted[1].slope)


def test_shared_head_is_calibrated_on_its_first_data_set(monkeypatch):
    run = Run(monkeypatch, heads=1, sets=2, losses=["plcc", "mse"])
    first = fit_calibration(run.raw[0][VALIDATION], run.ratings[0][VALIDATION], logistic=False)
    for line in run.scale.fit(run.trial()):
        assert_same_line(line, first)


def test_without_validation_images_the_training_images_calibrate(monkeypatch):
    run = Run(monkeypatch)
    (line,) = run.scale.fit(run.trial(validation=VALIDATION[:0]))
    assert_same_line(line, fit_calibration(run.raw[0][TRAIN], run.ratings[0][TRAIN], logistic=False))


@pytest.mark.parametrize(
    ("options", "calibrates"),
    [
        ({"loss": "plcc"}, True),
        ({"loss": "ranking"}, True),
        ({"loss": "mse"}, False),
        ({"loss": "charbonnier"}, False),
        ({"loss": "mse", "losses": ["ranking"]}, True),
        ({"loss": "plcc", "losses": ["mse"]}, False),
        ({"loss": "mse", "score_map": "logistic"}, True),
        ({"loss": "plcc", "calibrated": True}, False),
    ],
    ids=str,
)
def test_outputs_without_a_scale_of_their_own_are_calibrated(monkeypatch, options, calibrates):
    run = Run(monkeypatch, **options)
    (line,) = run.scale.fit(run.trial())
    assert (line is not None) == calibrates
    assert bool(run.scale.held_out(run.trial())) == calibrates
    if not calibrates:
        np.testing.assert_array_equal(run.scale.scores(run.trial(), 0, None), run.raw[0][TEST])


def test_regressor_gives_a_head_of_prompts_outputs_without_a_scale(monkeypatch):
    run = Run(monkeypatch, calibrated=True)
    run.specs[0].pool.regressor = object()
    assert run.scale.fit(run.trial()) != [None]


def test_classes_are_not_calibrated(monkeypatch):
    run = Run(monkeypatch)
    trial = run.trial()
    trial.sets[0].dataset.ratings = None
    assert run.scale.fit(trial) == [None]
    assert run.scale.held_out(trial) == {}


def test_model_of_all_images_is_calibrated_by_what_the_splits_held_out(monkeypatch):
    """Outputs of different models differ in scale; standardised by those for training images, they are comparable."""
    run = Run(monkeypatch, heads=2, sets=2)
    held_out = [run.scale.held_out(run.trial(factor=factor)) for factor in (1.0, 7.0)]
    for index in range(2):
        train, test = run.raw[index][TRAIN], run.raw[index][TEST]
        (outputs, ratings), (again, _) = (one[index] for one in held_out)
        np.testing.assert_allclose(outputs, (test - train.mean()) / train.std(), rtol=1e-6)
        np.testing.assert_allclose(again, outputs, rtol=1e-6)
        np.testing.assert_array_equal(ratings, run.ratings[index][TEST])
        line = run.scale.fit_to_held_out(run.trial(factor=3.0), held_out)[index]
        assert_same_line(line, fit_calibration(3 * test, ratings, logistic=False))


@pytest.mark.parametrize("score_map", ["identity", "logistic"])
def test_spread_puts_a_tenth_of_the_training_images_below_and_a_tenth_above(monkeypatch, score_map):
    run = Run(monkeypatch, loss="mse", score_map=score_map, calibration="spread")
    trial = run.trial()
    trial.sets[0].dataset = ladders_of(3, ratings=run.ratings[0])
    (line,) = run.scale.fit(trial)
    best = [start + int(run.ratings[0][start : start + 3].argmax()) for start in TRAIN[::3]]
    scores = line(run.raw[0][best])
    scores = expit(scores) if score_map == "logistic" else scores
    if score_map == "identity":
        np.testing.assert_allclose(np.quantile(scores, [0.1, 0.9]), [0.25, 0.75])
    assert (scores < 0.25).sum() == (scores > 0.75).sum() == 1  # of ten
    assert run.scale.held_out(trial) == {}
    (all_images,) = run.scale.fit_to_held_out(trial, [{}])
    assert_same_line(all_images, line)


def ladders_of(rungs, ratings):
    groups = tuple(str(index // rungs) for index in range(len(ratings)))
    return SimpleNamespace(ratings=ratings, groups=groups, ranks_within_groups=True)


def test_images_that_are_comparable_all_count_for_the_spread():
    dataset = ladders_of(3, np.random.default_rng(0).random((12, 2)))
    dataset.ranks_within_groups = False
    assert best_of_groups(dataset, np.arange(3, 9)).tolist() == list(range(3, 9))
