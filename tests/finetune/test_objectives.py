"""Losses and validation figures against formulas written anew in NumPy."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from perceptmetrics.datasets import LabelledImages, Scale
from perceptmetrics.datasets.pooled import Pooled
from perceptmetrics.errors import DatasetError
from perceptmetrics.finetune.data.objectives import (
    Objective,
    can_select,
    check_confidence,
    confidence_weights,
    selection_statistic,
)

NAN = float("nan")
INDICES = [6, 0, 3, 5, 1]


def ratings_set(ratings, groups=None, within=False):
    ratings = np.array(ratings, dtype=float)
    count, columns = ratings.shape
    return LabelledImages(
        name="some",
        task="quality",
        images=tuple(Path(f"{number}.png") for number in range(count)),
        names=tuple(map(str, range(count))),
        labels=tuple(f"label{column}" for column in range(columns)),
        ratings=ratings,
        scales=(Scale(lower=0, upper=1),) * columns,
        groups=groups,
        ranks_within_groups=within,
    )


def classes_set(classes, count=3):
    return LabelledImages(
        name="some",
        task="emotion",
        images=tuple(Path(f"{number}.png") for number in range(len(classes))),
        names=tuple(map(str, range(len(classes)))),
        labels=tuple("abcdef"[:count]),
        classes=np.array(classes, dtype=np.intp),
    )


@pytest.fixture
def one_column():
    return ratings_set(np.random.default_rng(0).random((8, 1)))


@pytest.fixture
def with_gaps():
    """Three columns, of which the last has one rating among the images that are asked for."""
    ratings = np.random.default_rng(1).random((8, 3))
    ratings[[6, 2], 0] = NAN
    ratings[[3], 1] = NAN
    ratings[[6, 0, 3, 5], 2] = NAN
    return ratings_set(ratings)


def outputs_for(dataset, seed=2):
    columns = len(dataset.labels)
    return torch.randn(len(INDICES), columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def plcc(outputs, ratings):
    return (1 - stats.pearsonr(outputs, ratings).statistic) / 2


def mse(outputs, ratings):
    return np.mean((outputs - ratings) ** 2)


def charbonnier(outputs, ratings):
    return np.mean(np.sqrt((outputs - ratings) ** 2 + 1e-6))


def ranking(outputs, ratings):
    """Soft hinge of all pairs with a known order, one pair at a time."""
    pairs = itertools.permutations(range(len(ratings)), 2)
    return np.mean([cost(outputs, *pair) for pair in pairs if ratings[pair[0]] > ratings[pair[1]]])


def cost(outputs, better, worse):
    standard = (outputs - outputs.mean()) / outputs.std(ddof=1)
    return 0.25 * np.log1p(np.exp((0.15 - (standard[better] - standard[worse])) / 0.25))


def relative(outputs, ratings):
    """Squared error once neither has a mean."""
    return np.mean(((outputs - outputs.mean()) - (ratings - ratings.mean())) ** 2)


LOSSES = {"plcc": plcc, "mse": mse, "charbonnier": charbonnier, "ranking": ranking, "relative": relative}
FEWEST = {"plcc": 2, "ranking": 2, "relative": 2, "mse": 1, "charbonnier": 1}


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_of_one_rating_equals_its_formula(loss, one_column):
    outputs = outputs_for(one_column)
    expected = LOSSES[loss](outputs.numpy()[:, 0], one_column.ratings[INDICES, 0])
    assert float(Objective(one_column, loss)(outputs, INDICES)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_is_the_mean_over_the_ratings_that_are_known(loss, with_gaps):
    outputs = outputs_for(with_gaps)
    expected = []
    for column in range(3):
        ratings = with_gaps.ratings[INDICES, column]
        known = ~np.isnan(ratings)
        if known.sum() >= FEWEST[loss]:
            expected.append(LOSSES[loss](outputs.numpy()[known, column], ratings[known]))
    assert float(Objective(with_gaps, loss)(outputs, INDICES)) == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_outputs_without_a_rating_get_no_gradient(loss, with_gaps):
    outputs = outputs_for(with_gaps).requires_grad_()
    Objective(with_gaps, loss)(outputs, INDICES).backward()
    unknown = np.isnan(with_gaps.ratings[INDICES])
    assert outputs.grad.isfinite().all()
    assert (outputs.grad.numpy()[unknown] == 0).all()
    assert (outputs.grad.numpy()[:, 0][~unknown[:, 0]] != 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_column_that_nobody_rated_does_not_dilute_the_others(loss, one_column):
    two = ratings_set(np.hstack([one_column.ratings, np.full((8, 1), NAN)]))
    outputs = outputs_for(two)
    alone = Objective(one_column, loss)(outputs[:, :1], INDICES)
    assert float(Objective(two, loss)(outputs, INDICES)) == pytest.approx(float(alone), rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_batch_without_ratings_has_a_loss_of_zero_and_finite_gradients(loss):
    empty = ratings_set(np.full((8, 2), NAN))
    outputs = outputs_for(empty).requires_grad_()
    value = Objective(empty, loss)(outputs, INDICES)
    value.backward()
    assert float(value.detach()) == 0
    assert outputs.grad.abs().max() == 0


def test_ranking_in_groups_compares_neighbours_by_their_difference():
    ratings = [[0.1], [0.9], [0.3], [0.4], [0.8], [0.8], [0.2]]
    groups = ("a", "b", "a", "b", "a", "b", "a")
    dataset = ratings_set(ratings, groups=groups, within=True)
    outputs = outputs_for(dataset)
    rated = dataset.ratings[INDICES, 0]
    weighted, weights = [], []
    for group in "ab":
        members = [place for place, index in enumerate(INDICES) if groups[index] == group]
        for better, worse in itertools.pairwise(sorted(members, key=lambda place: -rated[place])):
            weights.append(rated[better] - rated[worse])
            weighted.append(weights[-1] * cost(outputs.numpy()[:, 0], better, worse))
    assert np.round(weights, 6).tolist() == [0.1, 0.1, 0.4]
    expected = sum(weighted) / sum(weights)
    assert float(Objective(dataset, "ranking")(outputs, INDICES)) == pytest.approx(expected, rel=1e-5)
    everywhere = Objective(replace(dataset, ranks_within_groups=False), "ranking")(outputs, INDICES)
    assert float(everywhere) != pytest.approx(expected, rel=1e-3)


def test_ranking_of_equal_ratings_is_zero():
    equal = ratings_set(np.full((8, 1), 0.5))
    outputs = outputs_for(equal).requires_grad_()
    value = Objective(equal, "ranking")(outputs, INDICES)
    value.backward()
    assert float(value.detach()) == 0
    assert outputs.grad.isfinite().all()


def test_cross_entropy_equals_its_formula():
    dataset = classes_set([0, 1, 2, 0, 1, 2, 1])
    outputs = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits = outputs.numpy()
    logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -np.mean([logarithms[row, dataset.classes[index]] for row, index in enumerate(INDICES)])
    assert float(Objective(dataset, "cross_entropy")(outputs, INDICES)) == pytest.approx(expected, rel=1e-5)


def test_selection_statistic_of_classes_is_the_accuracy():
    dataset = classes_set([0, 1, 2, 0])
    outputs = np.array([[3.0, 1, 2], [1, 0, 2], [0, 1, 2], [5, 1, 2]])
    assert selection_statistic(dataset, outputs, np.arange(4)) == 0.75


def test_selection_statistic_of_ratings_is_the_mean_of_their_srcc(with_gaps):
    outputs = outputs_for(with_gaps).numpy()
    expected = []
    for column in range(2):  # the third has too few ratings
        ratings = with_gaps.ratings[INDICES, column]
        known = ~np.isnan(ratings)
        expected.append(stats.spearmanr(outputs[known, column], ratings[known]).statistic)
    assert selection_statistic(with_gaps, outputs, np.array(INDICES)) == pytest.approx(np.mean(expected))


def test_selection_statistic_within_groups_is_the_fraction_of_pairs_in_order():
    dataset = ratings_set([[0.1], [0.9], [0.3], [0.4], [0.5]], groups=("a", "b", "a", "b", "a"), within=True)
    outputs = np.array([[0.0], [9.0], [2.0], [9.5], [1.0]])  # right: 0 < 2, 0 < 4; wrong: 2 < 4, 3 < 1
    assert selection_statistic(dataset, outputs, np.arange(5)) == 0.5


@pytest.mark.parametrize("bad", [NAN, float("inf")])
@pytest.mark.parametrize("kind", ["ratings", "classes", "groups"])
def test_selection_statistic_of_outputs_that_are_not_finite_is_undefined(kind, bad):
    made = {
        "ratings": lambda: ratings_set(np.random.default_rng(0).random((6, 3))),
        "classes": lambda: classes_set([0] * 6),
        "groups": lambda: ratings_set(np.random.default_rng(0).random((6, 1)), groups=tuple("aabbcc"), within=True),
    }
    outputs = np.random.default_rng(1).random((6, 3))
    outputs[:] = bad
    assert np.isnan(selection_statistic(made[kind](), outputs, np.arange(6)))


@pytest.mark.parametrize(
    ("dataset", "enough"),
    [
        (ratings_set([[0.1], [0.1], [0.2]]), True),
        (ratings_set([[0.1], [0.1], [0.1]]), False),
        (ratings_set([[0.1, NAN], [NAN, 0.3], [NAN, NAN]]), False),
        (ratings_set([[0.1], [0.5], [0.1]], groups=("a", "b", "a"), within=True), False),
        (ratings_set([[0.1], [0.5], [0.2]], groups=("a", "b", "a"), within=True), True),
        (classes_set([0, 0, 0]), True),
    ],
)
def test_whether_labels_are_enough_to_judge_a_model(dataset, enough):
    assert can_select(dataset, np.arange(3)) is enough
    assert not can_select(dataset, np.arange(0))


def test_nothing_is_selected_by_labels_that_there_are_not_or_that_are_all_equal():
    none = SimpleNamespace(classes=None, ratings=None, ranks_within_groups=False, groups=None)
    indices = np.arange(3)
    assert math.isnan(selection_statistic(none, np.ones((3, 1)), indices))
    equal = SimpleNamespace(classes=None, ratings=np.ones((3, 2)), ranks_within_groups=False, groups=None)
    assert math.isnan(selection_statistic(equal, np.arange(6.0).reshape(3, 2), indices))


def asked(dataset, counts, errors=None):
    """A data set whose labels were made from so many answers."""
    counts = np.array(counts)
    errors = None if errors is None else np.array(errors)
    one = Pooled(label="", method="mean", answers=int(counts.sum()), raters=None, counts=counts, errors=errors)
    return replace(dataset, pooled=(one,) * (1 if dataset.ratings is None else len(dataset.labels)))


@pytest.mark.parametrize("loss", ["mse", "plcc", "charbonnier", "ranking", "cross_entropy"])
def test_images_with_more_raters_count_more(loss, one_column):
    counts = np.array([1, 2, 9, 4, 5, 6, 7, 8])
    dataset = classes_set([0, 1, 2, 0, 1, 2, 0, 1]) if loss == "cross_entropy" else one_column
    outputs = outputs_for(dataset).double()
    weights = (counts / counts.mean())[INDICES]
    x, y = outputs[:, 0].numpy(), None if dataset.ratings is None else dataset.ratings[INDICES, 0]
    if loss == "cross_entropy":
        chosen = torch.log_softmax(outputs, dim=1).numpy()[np.arange(5), dataset.classes[INDICES]]
        expected = -(weights * chosen).mean()
    elif loss == "mse":
        expected = (weights * (x - y) ** 2).mean()
    elif loss == "charbonnier":
        expected = (weights * np.sqrt((x - y) ** 2 + 1e-6)).mean()
    elif loss == "plcc":
        covariance = np.cov(x, y, aweights=weights)
        expected = (1 - covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1])) / 2
    else:
        scaled = (x - x.mean()) / x.std(ddof=1)
        pairs = [(i, j) for i in range(5) for j in range(5) if y[i] > y[j]]
        costs = [0.25 * np.log1p(np.exp((0.15 - scaled[i] + scaled[j]) / 0.25)) for i, j in pairs]
        expected = np.mean([stats.hmean(weights[[*pair]]) * cost for pair, cost in zip(pairs, costs, strict=True)])
    weighted = float(Objective(asked(dataset, counts), loss, "raters")(outputs, INDICES))
    assert weighted == pytest.approx(expected, rel=1e-5)
    assert weighted != pytest.approx(float(Objective(dataset, loss)(outputs, INDICES)), rel=1e-3)


def test_certain_labels_count_more_and_the_mean_weight_is_one():
    dataset = asked(ratings_set([[0.1], [0.2], [NAN]]), [4, 2, 0], [0.1, 0.2, NAN])
    assert confidence_weights(dataset, "spread")[:, 0].tolist() == pytest.approx([1.6, 0.4, 0])
    assert confidence_weights(dataset, "raters")[:, 0].tolist() == pytest.approx([4 / 3, 2 / 3, 0])
    assert confidence_weights(dataset, "none") is None
    assert confidence_weights(ratings_set([[0.1]]), "raters") is None


def test_confidence_that_no_data_set_knows_of_is_refused():
    plain, counted = ratings_set([[0.1], [0.2]]), asked(ratings_set([[0.1], [0.2]]), [1, 2])
    check_confidence([plain], "none")
    check_confidence([plain, counted], "raters")
    with pytest.raises(DatasetError, match=r"labels of some come as they are.*rater_column"):
        check_confidence([plain], "raters")
    with pytest.raises(DatasetError, match="spread needs standard errors"):
        check_confidence([plain, counted], "spread")


def test_relative_loss_asks_only_for_the_differences_within_a_group():
    dataset = ratings_set([[0.1], [0.5], [0.9], [0.2], [0.2]], groups=("a", "a", "b", "b", "b"), within=True)
    ratings, objective = torch.from_numpy(dataset.ratings), Objective(dataset, "relative")
    lifted = ratings + torch.tensor([[3.0], [3.0], [-7.0], [-7.0], [-7.0]], dtype=torch.float64)
    assert float(objective(lifted, [0, 1, 2, 3, 4])) == pytest.approx(0, abs=1e-12)
    lifted[4] += 0.3  # of a tie
    assert float(objective(lifted, [0, 1, 2, 3, 4])) == pytest.approx((0.2**2 + 2 * 0.1**2) / 5, rel=1e-5)
    assert float(objective(lifted[[4, 0, 3, 1, 2]], [4, 0, 3, 1, 2])) == pytest.approx(0.06 / 5, rel=1e-5)


def test_pairs_of_a_group_count_in_every_column_in_which_they_differ():
    dataset = ratings_set([[1, NAN], [0.5, NAN], [1, 1], [1, 0.5]], groups=("a", "a", "b", "b"), within=True)
    outputs = np.array([[2.0, 0.0], [1.0, 9.0], [0.0, 1.0], [5.0, 2.0]])
    assert can_select(dataset, np.arange(4))
    assert selection_statistic(dataset, outputs, np.arange(4)) == 0.5
    assert selection_statistic(dataset, outputs[:2], np.arange(2)) == 1
