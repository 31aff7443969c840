"""The course of the learning rate, as a pure function of the step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perceptmetrics.finetune.recipe_sections import OptimizerRecipe

__all__ = ["rate_at"]


def rate_at(recipe: OptimizerRecipe, rate: float, step: int, total: int) -> float:
    """The learning rate of a step.

    Args:
        recipe: Schedule, warm-up, lowest rate.
        rate: The learning rate of the trial.
        step: Number of the step, from 0.
        total: Number of steps, if training does not stop early.

    Returns:
        The rate.
    """
    warm = min(1.0, (step + 1) / (recipe.warmup + 1))
    if recipe.schedule == "constant":
        return warm * rate
    period = recipe.period or total
    share = (step % period) / period
    return warm * (recipe.min_lr + (rate - recipe.min_lr) * (1 + math.cos(math.pi * share)) / 2)
