"""Properties of the training losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr

from perceptmetrics.functional.loss import charbonnier_loss, plcc_loss, ranking_loss

SEEDS = st.integers(0, 10_000)


def normal(count, seed):
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(deadline=None)
@given(seed=SEEDS, count=st.integers(3, 40))
def test_plcc_loss_is_half_of_one_minus_the_correlation(seed, count):
    prediction, target = normal(count, seed), normal(count, seed + 1)
    expected = (1 - pearsonr(prediction.numpy(), target.numpy()).statistic) / 2
    assert plcc_loss(prediction, target).item() == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(seed=SEEDS, scale=st.floats(0.1, 100), shift=st.floats(-100, 100))
def test_plcc_loss_ignores_positive_affine_maps(seed, scale, shift):
    prediction, target = normal(12, seed), normal(12, seed + 1)
    loss = plcc_loss(prediction, target).item()
    assert plcc_loss(scale * prediction + shift, target).item() == pytest.approx(loss, abs=1e-6)
    assert plcc_loss(prediction, scale * target + shift).item() == pytest.approx(loss, abs=1e-6)
    assert plcc_loss(-prediction, target).item() == pytest.approx(1 - loss, abs=1e-6)
    assert plcc_loss(target, prediction).item() == pytest.approx(loss, abs=1e-12)


@settings(deadline=None)
@given(seed=SEEDS)
def test_plcc_loss_is_zero_for_the_target_itself_and_one_for_its_opposite(seed):
    target = normal(9, seed)
    assert plcc_loss(3 * target + 1, target).item() == pytest.approx(0, abs=1e-6)
    assert plcc_loss(-target, target).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("constant", ["prediction", "target", "both"])
def test_constant_vectors_have_no_correlation_and_finite_gradients(constant):
    prediction, target = normal(6, 0), normal(6, 1)
    prediction = torch.full_like(prediction, 0.3) if constant != "target" else prediction
    target = torch.full_like(target, 0.7) if constant != "prediction" else target
    prediction.requires_grad_()
    loss = plcc_loss(prediction, target)
    loss.backward()
    assert loss.item() == pytest.approx(0.5, abs=1e-6)
    assert prediction.grad.isfinite().all()


def test_gradients_of_plcc_loss():
    torch.autograd.gradcheck(plcc_loss, (normal(5, 0).requires_grad_(), normal(5, 1).requires_grad_()))


@settings(deadline=None)
@given(seed=SEEDS, margin=st.floats(0, 2))
def test_ranking_loss_is_the_mean_hinge(seed, margin):
    better, worse = normal(7, seed), normal(7, seed + 1)
    expected = np.mean([max(0.0, margin - (b - w)) for b, w in zip(better.tolist(), worse.tolist(), strict=True)])
    assert ranking_loss(better, worse, margin).item() == pytest.approx(expected)


@settings(deadline=None)
@given(seed=SEEDS, margin=st.floats(0.01, 2), short=st.floats(1e-3, 1), place=st.integers(0, 6))
def test_ranking_loss_is_zero_exactly_when_every_margin_holds(seed, margin, short, place):
    assume(margin - short < margin)
    worse = normal(7, seed)
    gap = margin + 1e-9 + normal(7, seed + 1).abs()
    assert ranking_loss(worse + gap, worse, margin).item() == 0
    gap[place] = margin - short
    assert ranking_loss(worse + gap, worse, margin).item() == pytest.approx(short / 7)


def test_gradients_of_ranking_loss_push_only_pairs_within_the_margin():
    better = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64, requires_grad=True)
    worse = torch.tensor([0.1, 0.45, 0.6], dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda a, b: ranking_loss(a, b, 0.2), (better, worse))
    ranking_loss(better, worse, 0.2).backward()
    torch.testing.assert_close(better.grad, torch.tensor([0, -1 / 3, -1 / 3], dtype=torch.float64))
    torch.testing.assert_close(worse.grad, -better.grad)


@pytest.mark.parametrize("loss", [plcc_loss, charbonnier_loss])
def test_a_whole_weight_is_as_many_samples(loss):
    rng = np.random.default_rng(3)
    prediction, target = torch.from_numpy(rng.random((2, 5)))
    times = torch.tensor([1, 3, 2, 1, 4])
    repeated = loss(prediction.repeat_interleave(times), target.repeat_interleave(times)).item()
    weight = times / times.double().mean()
    assert loss(prediction, target, weight=weight).item() == pytest.approx(repeated)
    assert loss(prediction, target, weight=torch.ones(5)).item() == pytest.approx(loss(prediction, target).item())


def test_gradient_of_the_weighted_correlation_is_right():
    prediction = torch.rand(6, dtype=torch.float64, requires_grad=True)
    target, weight = torch.rand(2, 6, dtype=torch.float64)
    torch.autograd.gradcheck(lambda values: plcc_loss(values, target, weight=weight), (prediction,))
