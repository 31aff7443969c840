"""What the command `finetune` does: put a recipe and its data together, call the library, print."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from perceptmetrics.apps.cli.console import messages, printable, results
from perceptmetrics.apps.cli.dataset_options import parse_options_of_several
from perceptmetrics.datasets import load_dataset
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.finetune import finetune, load_recipe, make_plan
from perceptmetrics.finetune.recipe_files import recipe_groups
from perceptmetrics.reports.finetune import check_plot_forms, write_finetune_report
from perceptmetrics.spec.plain import to_plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune import EpochRecord, Plan, Recipe, RunResult, StageName

__all__ = ["print_recipes", "run_finetune"]


def print_recipes() -> None:
    """Print the recipes that the package carries, in groups."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("recipe", "trains", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is")
    for title, recipes in recipe_groups().items():
        table.add_row()
        table.add_row(Text(title, style="bold"))
        for recipe in recipes:
            table.add_row(recipe.name, recipe.train, recipe.summary)
    results.print(table)


def run_finetune(
    name: str,
    *,
    roots: Sequence[str],
    output: Path | None,
    settings: Sequence[str],
    names: Sequence[str],
    options: Sequence[str],
    missing: Literal["error", "skip"],
    dry_run: bool,
    resume: bool,
    plots: Sequence[str],
    device: str | None,
    backbone_checkpoint: Path | None,
    cache_dir: Path | None,
) -> None:
    """Carry out `finetune`."""
    check_plot_forms(plots)
    stated = [_data_setting(name, names)] if names else []
    recipe = _with_options(load_recipe(name, [*stated, *settings]), options)
    folders = _folders(recipe, roots)
    datasets = [
        load_dataset(entry.name, folders[entry.name], missing=missing, **entry.options) for entry in recipe.data
    ]
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    first = os.environ.get("RANK", "0") == "0"
    if first:
        _print_plan(make_plan(recipe, datasets, processes))
    if dry_run:
        return
    if output is None:
        raise InvalidOptionError("Name the folder of the run: --output runs/NAME.")
    with _Bars(enabled=first) as bars:
        result = finetune(
            recipe,
            datasets,
            output,
            device=device,
            backbone_checkpoint=backbone_checkpoint,
            cache_dir=cache_dir,
            resume=resume,
            observer=bars,
        )
    if first:
        _print_result(result, datasets)
        page, *_ = write_finetune_report(result, plots=plots)
        results.print(f"report: {printable(str(page))}", highlight=False, soft_wrap=True)


def _data_setting(recipe: str, names: Sequence[str]) -> str:
    """The setting that puts other data sets into a recipe; one that it names keeps its options."""
    known = {entry.name: to_plain(entry) for entry in load_recipe(recipe).data}
    return f"data={json.dumps([known.get(name, {'name': name}) for name in names])}"


def _with_options(recipe: Recipe, options: Sequence[str]) -> Recipe:
    """Put what the user states beside the options of a recipe's data sets, or in their place."""
    own = parse_options_of_several(options, [entry.name for entry in recipe.data])
    return replace(recipe, data=tuple(replace(entry, options=entry.options | own[entry.name]) for entry in recipe.data))


def _folders(recipe: Recipe, roots: Sequence[str]) -> dict[str, str]:
    """The folder of each data set."""
    names = [entry.name for entry in recipe.data]
    if len(set(names)) < len(names):
        raise InvalidOptionError(
            f"The command takes each data set once, got {', '.join(names)}. In Python, several of a kind are told "
            "apart by dataclasses.replace(data, name=...)."
        )
    if len(names) == 1 and len(roots) == 1:
        return {names[0]: roots[0].removeprefix(f"{names[0]}=")}
    folders = dict(root.partition("=")[::2] for root in roots)
    lacking = [name for name in names if not folders.get(name)]
    if lacking or len(folders) != len(names):
        raise InvalidOptionError(
            f"Expected --root NAME=FOLDER for each of {', '.join(names)}, got {', '.join(roots) or 'none'}."
        )
    return folders


def _print_plan(plan: Plan) -> None:
    lines = [
        f"{name}: {train} images for training, {validation} for validation, {test} for test"
        for name, (train, validation, test) in plan.images.items()
    ]
    lines += [
        f"{one.tested} is tested with {len(one.names)} images on which {one.trained} trains (split {one.split}: "
        f"{one.names[0]}, ...): its figures will flatter. Leave these images out of one of the two, or split both alike"
        for one in plan.overlaps
    ]
    cached = "; the encoder's features are computed once" if plan.cached else ""
    lines += [
        f"{plan.splits} splits, {plan.models} models to train, up to {plan.epochs} epochs of {plan.steps} steps",
        f"{plan.trained:,} of {plan.weights:,} weights are trained{cached}",
        f"about {plan.memory / 2**30:.2f} GiB for each process, {plan.activations / 2**30:.2f} GiB of it activations",
    ]
    for line in lines:
        messages.print(printable(line))


def _print_result(result: RunResult, datasets: Sequence[LabelledImages]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("data set", "label", "splits", "figure", "median", "lowest", "highest"):
        table.add_column(heading, justify="right" if heading in ("median", "lowest", "highest") else "left")
    for dataset in datasets:
        shown = ("accuracy", "macro_f1") if dataset.classes is not None else ("srcc", "plcc_logistic4", "rmse")
        for label in ("classes",) if dataset.classes is not None else dataset.labels:
            for figure in shown:
                values = result.values(dataset.name, label, figure)
                if not all(map(math.isnan, values)):
                    cells = [
                        f"{value:.3f}"
                        for value in (result.median(dataset.name, label, figure), min(values), max(values))
                    ]
                    table.add_row(dataset.name, label, str(len(values)), figure, *cells)
    results.print(table)
    for name, folder in result.metrics.items():
        results.print(f'{name}: create_metric("{folder}")', highlight=False)


class _Bars:
    """Progress bars with the validation figure so far."""

    def __init__(self, *, enabled: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=messages,
            transient=True,
            disable=not enabled,
        )
        self._encoding = self._progress.add_task("features", total=None, visible=False, note="")
        self._epoch = self._progress.add_task("epoch", total=None, visible=False, note="")
        self._best = ""
        self._writes_lines = enabled and not messages.is_terminal

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def encoding(self, data_set: str, done: int, total: int) -> None:
        """See `finetune.Observer`."""
        description = f"features of {printable(data_set)}"
        self._progress.update(
            self._encoding, description=description, completed=done, total=total, visible=done < total
        )

    def step(self, stage: StageName, epoch: int, step: int, steps: int, loss: float) -> None:
        """See `finetune.Observer`."""
        self._progress.update(
            self._epoch,
            description=f"{stage}, epoch {epoch + 1}",
            completed=step,
            total=steps,
            visible=True,
            note=f"loss {loss:.4f}{self._best}",
        )

    def epoch(self, stage: StageName, record: EpochRecord, best_epoch: int) -> None:
        """See `finetune.Observer`."""
        best = "best" if record.epoch == best_epoch else f"best in epoch {best_epoch + 1}"
        self._best = "" if math.isnan(record.selection) else f", validation {record.selection:.4f} ({best})"
        if self._writes_lines:
            messages.print(f"{stage}, epoch {record.epoch + 1}: loss {record.loss:.4f}{self._best}")
