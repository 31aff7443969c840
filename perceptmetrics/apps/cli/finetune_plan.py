"""Print the recipes, and the plan of a training."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.text import Text

from perceptmetrics.apps.cli.console import messages, new_table, printable, results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune import Plan, Recipe

__all__ = ["print_plan", "print_recipes"]


def print_recipes() -> None:
    """Print the recipes that the package contains, in groups."""
    from perceptmetrics.finetune import recipe_groups

    table = new_table(("recipe", "trains", "what it is"), whole=("recipe", "trains"))
    for title, recipes in recipe_groups().items():
        table.add_row()
        table.add_row(Text(title, style="bold"))
        for recipe in recipes:
            table.add_row(recipe.name, recipe.train, recipe.summary)
    results.print(table)


def print_plan(recipe: Recipe, datasets: Sequence[LabelledImages], *, dry_run: bool) -> None:
    """Print what a run would do.

    Args:
        recipe: The recipe.
        datasets: Its data sets.
        dry_run: Whether nothing else happens; a run itself warns of test images that it trains on.
    """
    plan = _plan(recipe, datasets)
    lines = [
        f"{name}: {train} images for training, {validation} for validation, {test} for test"
        for name, (train, validation, test) in plan.images.items()
    ]
    lines += [f"{name}: {sentence}" for name, made in plan.pooled.items() for sentence in made]
    lines += plan.split_notes
    lines += map(str, plan.overlaps) if dry_run else ()
    if len(plan.batch) > 1:
        held = [f"{_span(least, most)} of {name}" for name, (least, most) in plan.batch.items()]
        lines.append(f"a batch holds {', '.join(held)}")
    cached = "; the encoder's features are computed once" if plan.cached else ""
    lines += [
        f"{plan.splits} splits, {plan.models} models to train, up to {plan.epochs} epochs of {plan.steps} steps",
        f"{plan.trained:,} of {plan.weights:,} weights are trained{cached}",
        f"about {plan.memory / 2**30:.2f} GiB per process, {plan.activations / 2**30:.2f} GiB of it activations",
    ]
    for line in lines:
        messages.print(printable(line))


def _plan(recipe: Recipe, datasets: Sequence[LabelledImages]) -> Plan:
    """The plan of the run, with a progress bar while images are compared."""
    from rich.progress import Progress

    from perceptmetrics.finetune import make_plan

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    with Progress(console=messages, transient=True, disable=not messages.is_terminal) as bar:
        task = bar.add_task("comparing images", total=sum(map(len, datasets)))
        return make_plan(recipe, datasets, processes, progress=lambda: bar.advance(task))


def _span(least: int, most: int) -> str:
    return str(most) if least == most else f"{least} to {most}"
