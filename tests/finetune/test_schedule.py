"""The learning rate of each step against PyTorch's own schedulers."""

from __future__ import annotations

import math

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, CosineAnnealingWarmRestarts

from perceptmetrics.finetune.recipe import OptimizerRecipe
from perceptmetrics.finetune.training.step import learning_rate

STEPS = 30


def of_torch(make):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = make(optimizer)
    rates = []
    for _ in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def ours(**options):
    recipe = OptimizerRecipe(lr=(0.3,), **options)
    return [learning_rate(recipe, 0.3, step, STEPS) for step in range(STEPS)]


def test_cosine_equals_torchs():
    expected = of_torch(lambda optimizer: CosineAnnealingLR(optimizer, STEPS, eta_min=0.02))
    assert ours(schedule="cosine", min_lr=0.02) == pytest.approx(expected)


def test_restarts_equal_torchs():
    expected = of_torch(lambda optimizer: CosineAnnealingWarmRestarts(optimizer, T_0=7, eta_min=0.02))
    assert ours(schedule="cosine_restarts", period=7, min_lr=0.02) == pytest.approx(expected)


def test_constant_stays():
    assert ours() == [0.3] * STEPS


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_warm_up_rises_in_equal_steps_and_then_leaves_the_rate_alone(schedule):
    plain, warmed = ours(schedule=schedule), ours(schedule=schedule, warmup=4)
    shares = [one / other for one, other in zip(warmed, plain, strict=True)]
    assert shares[:5] == pytest.approx([1 / 5, 2 / 5, 3 / 5, 4 / 5, 1])
    assert shares[5:] == pytest.approx([1] * (STEPS - 5))


def test_cosine_is_half_way_in_the_middle():
    assert ours(schedule="cosine")[STEPS // 2] == pytest.approx(0.15)
    assert ours(schedule="cosine")[-1] == pytest.approx(0.15 * (1 + math.cos(math.pi * (STEPS - 1) / STEPS)))
