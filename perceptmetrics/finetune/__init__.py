"""Train metrics on labelled images: recipes, data, trainer, export. Knows nothing of commands, reports and pages.

Needs the extra `finetune`. Training uses the forward pass of scoring: it starts from a `Metric`, attaches adapters,
prompts or a head, and ends in a plain `Metric` that is exported like any other.
"""

from __future__ import annotations

from perceptmetrics.finetune.plan import Plan, make_plan
from perceptmetrics.finetune.recipe import Recipe
from perceptmetrics.finetune.recipe_files import list_recipes, load_recipe, parse_value, recipe_groups, recipe_to_yaml
from perceptmetrics.finetune.results import DataSetResult, EpochRecord, RunResult, SplitResult, StageName, StageResult
from perceptmetrics.finetune.run import finetune
from perceptmetrics.finetune.state import Observer

__all__ = [
    "DataSetResult",
    "EpochRecord",
    "Observer",
    "Plan",
    "Recipe",
    "RunResult",
    "SplitResult",
    "StageName",
    "StageResult",
    "finetune",
    "list_recipes",
    "load_recipe",
    "make_plan",
    "parse_value",
    "recipe_groups",
    "recipe_to_yaml",
]
