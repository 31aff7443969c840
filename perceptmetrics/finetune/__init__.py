"""Train metrics on labelled images: recipe, data, model, training, run. Knows nothing of commands, reports and pages.

Needs the extra `finetune`. Training uses the forward pass of scoring: it starts from a `Metric`, attaches adapters,
prompts or a head, and ends in a plain `Metric` that is exported like any other.
"""

from __future__ import annotations

from perceptmetrics.finetune.plan import Plan, make_plan
from perceptmetrics.finetune.recipe import Recipe, list_recipes, load_recipe, parse_value, recipe_groups, recipe_to_yaml
from perceptmetrics.finetune.run.finetune import finetune
from perceptmetrics.finetune.run.results import DataSetResult, RunResult, SplitResult, StageResult
from perceptmetrics.finetune.training.epochs import EpochRecord, Observer, StageName

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
