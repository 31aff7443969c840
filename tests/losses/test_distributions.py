"""A distribution over labels as the target: zero where it is met, the cross-entropy's gradient, refused elsewhere."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import entropy

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.functional.loss import label_divergence
from perceptmetrics.models.losses import PerceptualLoss
from perceptmetrics.spec import IdentityMap, SoftmaxMap
from tests.support.mean_colour_metric import tiny_metric

LABELS = ("joy", "fear", "awe")
BATCH = torch.rand((4, 3, 6, 5), generator=torch.Generator().manual_seed(0))
WANTED = torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.1, 0.1, 0.8]])


def emotional(**options):
    return tiny_metric(labels=LABELS, map=SoftmaxMap(), **options)


def divergences(wanted, probabilities):
    rows = zip(wanted.expand_as(probabilities).tolist(), probabilities.tolist(), strict=True)
    return torch.tensor([entropy(one, other) for one, other in rows]).float()


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ({"joy": 0.2, "fear": 0.3, "awe": 0.5}, WANTED[0]),
        ({"awe": 0.75, "joy": 0.25}, torch.tensor([0.25, 0.0, 0.75])),
        ({"fear": 1}, torch.tensor([0.0, 1.0, 0.0])),
        (WANTED[0], WANTED[0]),
        (WANTED, WANTED),
        (WANTED.double(), WANTED),
    ],
)
def test_the_loss_is_the_divergence_that_scipy_computes(target, wanted):
    metric = emotional()
    loss = PerceptualLoss(metric, target, reduction="none")
    torch.testing.assert_close(loss(BATCH), divergences(wanted, metric(BATCH)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(loss.score, metric(BATCH))
    assert loss.score.shape == (4, 3)
    assert not loss.score.requires_grad


def test_the_loss_is_zero_where_the_distribution_is_met_and_only_there():
    metric = emotional()
    met = PerceptualLoss(metric, metric(BATCH).detach(), reduction="none")
    torch.testing.assert_close(met(BATCH), torch.zeros(4), rtol=0, atol=1e-6)
    assert (PerceptualLoss(metric, WANTED, reduction="none")(BATCH) > 1e-3).all()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weights_and_reductions_are_those_of_other_losses(reduction):
    weight = torch.tensor([1.0, 0.0, 2.0, 0.5])
    each = PerceptualLoss(emotional(), WANTED, reduction="none")(BATCH)
    loss = PerceptualLoss(emotional(), WANTED, weight, reduction)
    torch.testing.assert_close(loss(BATCH), getattr(weight * each, reduction)())


def test_each_batch_can_have_its_own_distributions():
    loss = PerceptualLoss(emotional(), {"joy": 1.0}, reduction="none")
    first = loss(BATCH)
    torch.testing.assert_close(loss(BATCH, WANTED), PerceptualLoss(emotional(), WANTED, reduction="none")(BATCH))
    assert torch.equal(loss(BATCH), first)


def test_the_gradient_is_that_of_the_cross_entropy():
    outputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    wanted = WANTED.double()
    (ours,) = torch.autograd.grad(label_divergence(outputs, wanted).mean(), outputs)
    (theirs,) = torch.autograd.grad(torch.nn.functional.cross_entropy(outputs, wanted), outputs)
    torch.testing.assert_close(ours, theirs)


def test_a_label_that_is_all_but_impossible_still_has_a_gradient():
    outputs = torch.tensor([[0.0, 200.0, 0.0]], requires_grad=True)
    label_divergence(outputs, torch.tensor([1.0, 0.0, 0.0])).sum().backward()
    torch.testing.assert_close(outputs.grad, torch.tensor([[-1.0, 1.0, 0.0]]))


@pytest.mark.parametrize(
    ("metric", "target", "message"),
    [
        (
            {"labels": LABELS, "map": IdentityMap()},
            {"joy": 1.0},
            "share the probability of 1.*scores that are independent",
        ),
        ({}, torch.ones(1), "share the probability of 1.*a single score"),
        ({"labels": LABELS, "map": SoftmaxMap()}, {"joyy": 1.0}, "no label 'joyy'. Did you mean 'joy'"),
        ({"labels": LABELS, "map": SoftmaxMap()}, {"joy": 0.4}, "must add up to 1"),
        ({"labels": LABELS, "map": SoftmaxMap()}, {}, "must add up to 1"),
        ({"labels": LABELS, "map": SoftmaxMap()}, {"joy": 1.5, "awe": -0.5}, "must not be negative"),
        ({"labels": LABELS, "map": SoftmaxMap()}, {"joy": float("nan"), "awe": 1.0}, "must add up to 1"),
        ({"labels": LABELS, "map": SoftmaxMap()}, torch.ones(4) / 4, r"shape \(3,\) or \(N, 3\), got \(4,\)"),
        ({"labels": LABELS, "map": SoftmaxMap()}, torch.tensor(1.0), r"shape \(3,\) or \(N, 3\), got \(\)"),
    ],
)
def test_what_is_no_distribution_over_these_labels_is_refused(metric, target, message):
    with pytest.raises(InvalidOptionError, match=message):
        PerceptualLoss(tiny_metric(**metric), target)


def test_a_distribution_has_no_raw_score():
    with pytest.raises(InvalidOptionError, match="sign='raw'"):
        PerceptualLoss(emotional(), {"joy": 1.0}, sign="raw")


def test_distributions_for_another_number_of_images_are_refused():
    with pytest.raises(InvalidOptionError, match=r"shape \(3,\) or \(2, 3\) for this batch, got \(4, 3\)"):
        PerceptualLoss(emotional(), WANTED)(BATCH[:2])


def test_a_loss_of_one_label_takes_no_distribution_later():
    with pytest.raises(InvalidOptionError, match="only if it was made with one"):
        PerceptualLoss(emotional(), "joy")(BATCH, WANTED)


def test_the_distribution_moves_with_the_loss():
    loss = PerceptualLoss(emotional(), WANTED)
    assert loss.to("meta").distribution.device.type == "meta"
    assert PerceptualLoss(emotional().to("meta"), {"joy": 1.0}).distribution.device.type == "meta"
