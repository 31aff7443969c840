"""The splits of a data set that a recipe asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.datasets import make_splits

if TYPE_CHECKING:
    from perceptmetrics.datasets import LabelledImages, Split
    from perceptmetrics.finetune.recipe import Recipe

__all__ = ["recipe_splits"]


def recipe_splits(recipe: Recipe, dataset: LabelledImages) -> tuple[Split, ...]:
    """Divide a data set as a recipe says; published splits may be fewer than it asks for."""
    wanted = recipe.splits
    return make_splits(
        dataset,
        wanted.count,
        seed=recipe.seed,
        test=wanted.test,
        validation=wanted.validation,
        official=wanted.official,
    )
