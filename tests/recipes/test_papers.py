"""Each row of the papers' tables in docs/papers.md is a command that can be planned, and no recipe is left out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from perceptmetrics.finetune import list_recipes, load_recipe, make_plan
from tests.recipes.made_up import data_for

PAGE = Path(__file__).parents[2] / "docs" / "papers.md"
COMMANDS = [
    command for command in re.findall(r"\| `(perceptmetrics [^`]*)` \|", PAGE.read_text(encoding="utf-8")) if command
]


def arguments(command: str) -> tuple[str, list[str]]:
    program, verb, name, *rest = shlex.split(command)
    assert (program, verb) == ("perceptmetrics", "finetune")
    flags, settings = rest[::2], rest[1::2]
    assert set(flags) <= {"--set"}
    return name, settings


@pytest.mark.parametrize("command", COMMANDS)
def test_a_row_can_be_planned(command: str) -> None:
    name, settings = arguments(command)
    recipe = load_recipe(name, settings)
    plan = make_plan(recipe, data_for(recipe))
    assert plan.splits == recipe.splits.count
    assert 0 < plan.trained <= plan.weights
    assert bool(settings) == (recipe != load_recipe(name))


def test_all_recipes_of_the_papers_have_a_row() -> None:
    own = ("perceptclip_quality", "perceptclip_memorability", "perceptclip_emotion", "perceptclip_attributes")
    own += ("clipiqa+_quality", "clip_uiqa_attributes")  # for one's own ratings
    papers = {name for name in list_recipes() if name.startswith(("perceptclip_", "clipiqa+", "clip_uiqa"))} - {*own}
    assert papers == {arguments(command)[0] for command in COMMANDS}
