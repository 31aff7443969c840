"""Recipes: everything that determines how a metric is trained, as plain data, and the YAML files that hold them.

Knows specifications only: no images, no networks. The recipes of the package are the files in `finetune/recipes/`.
"""

from __future__ import annotations

from perceptmetrics.finetune.recipe.files import list_recipes, load_recipe, parse_value, recipe_groups, recipe_to_yaml
from perceptmetrics.finetune.recipe.model_sections import EncoderRecipe, HeadRecipe, PromptsRecipe
from perceptmetrics.finetune.recipe.recipe import Recipe
from perceptmetrics.finetune.recipe.training_sections import (
    AugmentationRecipe,
    DataRecipe,
    OptimizerRecipe,
    ReportRecipe,
    SplitRecipe,
)

__all__ = [
    "AugmentationRecipe",
    "DataRecipe",
    "EncoderRecipe",
    "HeadRecipe",
    "OptimizerRecipe",
    "PromptsRecipe",
    "Recipe",
    "ReportRecipe",
    "SplitRecipe",
    "list_recipes",
    "load_recipe",
    "parse_value",
    "recipe_groups",
    "recipe_to_yaml",
]
