"""Retraining the metrics on labelled images: recipes, data sets, trainer, export.

The extra `finetune` brings what it needs. Training goes the same road as scoring: it starts from a `Metric`, attaches
adapters, prompts or a head, and ends in a plain `Metric` that is exported like any other.
"""

from __future__ import annotations

from perceptmetrics.finetune.recipe import Recipe
from perceptmetrics.finetune.recipe_files import list_recipes, load_recipe, recipe_to_yaml

__all__ = ["Recipe", "list_recipes", "load_recipe", "recipe_to_yaml"]
