"""Each row of the papers' tables in docs/papers.md is a command that can be planned, and no recipe is left out."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from typer.main import get_command

from perceptmetrics import metric_info
from perceptmetrics.apps.cli.app import app
from perceptmetrics.apps.cli.metrics import keywords_of_each
from perceptmetrics.apps.cli.options import PromptOptions
from perceptmetrics.datasets import dataset_info
from perceptmetrics.factory.options import apply_options
from perceptmetrics.finetune import list_recipes, load_recipe, make_plan
from perceptmetrics.models.views import Views
from perceptmetrics.spec import MetricSpec
from tests.recipes.made_up import data_for

PAGE = Path(__file__).parents[2] / "docs" / "papers.md"
ROWS = [
    row.replace("\\|", "|") for row in re.findall(r"\| `(perceptmetrics [^`]*)` \|", PAGE.read_text(encoding="utf-8"))
]
COMMANDS = [row for row in ROWS if row.startswith("perceptmetrics finetune ")]
BENCHMARKS = [row for row in ROWS if row not in COMMANDS]


def arguments(command: str) -> tuple[str, list[str]]:
    program, verb, name, *rest = shlex.split(command)
    assert (program, verb) == ("perceptmetrics", "finetune")
    flags, values = rest[::2], rest[1::2]
    assert set(flags) <= {"--set", "--backbone-checkpoint"}
    return name, [value for flag, value in zip(flags, values, strict=True) if flag == "--set"]


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


def asked(command: str) -> tuple[str, str, MetricSpec]:
    """Data set, metric and specification of a benchmark."""
    program, verb, *words = shlex.split(command)
    assert (program, verb) == ("perceptmetrics", "benchmark")
    given = get_command(app).commands[verb].make_context(verb, [*words, "--root", "data"]).params
    (name,) = given["metric"]
    options = PromptOptions(**{field.name: given[field.name] for field in fields(PromptOptions)})
    return given["dataset"], name, apply_options(metric_info(name), keywords_of_each([name], options)[name])


@pytest.mark.parametrize("command", BENCHMARKS)
def test_a_row_can_be_benchmarked(command: str) -> None:
    dataset, name, spec = asked(command)
    assert dataset_info(dataset).task == spec.task == "quality"
    assert ("--" in command) == (spec != metric_info(name))
    shown = Views(spec.views)(torch.rand(1, 3, 384, 512))[0].shape[-2:]
    size = {"spaq": (512, 682)}.get(dataset, (384, 512))
    assert shown == ((224, 224) if getattr(spec.encoder, "positional_embedding", "") == "keep" else size)


def test_all_rows_of_both_tables_are_there_and_differ() -> None:
    rows = [(dataset, spec) for dataset, _, spec in map(asked, BENCHMARKS)]
    assert len(rows) == 16
    assert all(row not in rows[:number] for number, row in enumerate(rows))
