"""The command `finetune`: train a metric on human labels."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.text import Text

from perceptmetrics.apps.cli.console import fail, new_table, printable, results
from perceptmetrics.apps.cli.options import (
    BackboneCheckpoint,
    CacheDir,
    Confusion,
    command,
)
from perceptmetrics.apps.cli.values import parse_confusion, parse_options_of_several, split_files
from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune import Recipe, RunResult

__all__ = ["finetune"]


@command
def finetune(
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe (see --list), or a YAML file of your own.", show_default=False)
    ] = None,
    root: Annotated[
        list[str] | None,
        typer.Option(
            "--root",
            "-r",
            help="Folder of the data set; with several data sets, NAME=FOLDER for each.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the run.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the metric. Default: that of the run's folder.", show_default=False)
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a key of the recipe, such as lr=1e-4; repeat.", show_default=False),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset",
            "-d",
            help="Train on this data set instead of the recipe's; repeat for several.",
            show_default=False,
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE: option of the data set, such as columns=mos; repeat for more, or for a list of values. "
            "DATASET.NAME=VALUE sets it for one data set of several.",
            show_default=False,
        ),
    ] = None,
    missing: Annotated[
        Literal["error", "skip"], typer.Option(help="What to do about labelled images without a file.")
    ] = "error",
    splits: Annotated[
        list[str] | None,
        typer.Option(
            help="File with a list of splits (CSV, JSON, or a pickle such as pyiqa's) to train and test on, instead of "
            "the published or drawn ones; with several data sets, NAME=FILE for each that has one.",
            show_default=False,
        ),
    ] = None,
    resize: Annotated[
        str | None,
        typer.Option(
            help="Size at which a recipe that shows images whole shows them: 512 for the short side, square:224, "
            "crop:224.",
            show_default=False,
        ),
    ] = None,
    list_recipes: Annotated[bool, typer.Option("--list", help="List the recipes and exit.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan of the run and exit.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    plots: Annotated[
        list[str] | None,
        typer.Option(
            help="Also write the report's plots to plots/ in the run's folder: png, svg or pdf; repeat.",
            show_default=False,
        ),
    ] = None,
    confusion: Confusion = None,
    rank_errors: Annotated[
        Literal["fitted", "z"],
        typer.Option(help="Report: rank the worst errors after the fitted curve, or by differences of z-scores."),
    ] = "fitted",
    device: Annotated[str, typer.Option(help="'auto' (a GPU if there is one), 'cpu', 'cuda' or 'mps'.")] = "auto",
    backbone_checkpoint: BackboneCheckpoint = None,
    cache_dir: CacheDir = None,
) -> None:
    """Train a metric on human labels, by a published recipe or your own.

    Runs on several processes when started by `torchrun` or `accelerate launch`. Examples:

    - `perceptmetrics finetune --list`

    - `perceptmetrics finetune perceptclip_koniq10k --root KonIQ-10k --output runs/koniq --set lr=1e-4`

    - `perceptmetrics finetune lite_quality --dataset csv --root my_photos --option columns=mos -o runs/mine`
    """
    from perceptmetrics.apps.cli.finetune_checks import check_labels_of_command
    from perceptmetrics.apps.cli.finetune_plan import print_plan, print_recipes
    from perceptmetrics.apps.cli.finetune_progress import TrainingBar
    from perceptmetrics.datasets import load_dataset, with_split_file
    from perceptmetrics.finetune import finetune as run_finetune
    from perceptmetrics.finetune import load_recipe
    from perceptmetrics.finetune.model.specs import with_size
    from perceptmetrics.reports.finetune import ErrorChoice, check_plot_formats, write_finetune_report
    from perceptmetrics.reports.mistakes import check_confusion

    if list_recipes:
        print_recipes()
        return
    if recipe is None:
        fail("Name a recipe (perceptmetrics finetune --list shows them), or a YAML file.")
    check_plot_formats(plots or [])
    changes = [*([_data_setting(recipe, dataset)] if dataset else []), *(settings or [])]
    chosen = _with_options(load_recipe(recipe, changes), option or [])
    if resize is not None:
        chosen = with_size(chosen, resize)
    folders = _folders(chosen, root or [])
    datasets = [load_dataset(one.name, folders[one.name], missing=missing, **one.options) for one in chosen.data]
    lists = split_files(splits or [], [one.name for one in datasets])
    datasets = [with_split_file(one, lists[one.name]) if one.name in lists else one for one in datasets]
    if lists:  # all of their splits, unless --set says otherwise
        chosen = _with_all_splits(chosen, datasets, settings or [])
    errors = ErrorChoice(ranking=rank_errors, confusion=parse_confusion(confusion))
    check_confusion(errors.confusion, datasets)
    first = os.environ.get("RANK", "0") == "0"
    typed = {"dataset": dataset, "root": root, "option": option, "set": settings, "splits": splits, "name": name}
    check_labels_of_command(datasets, recipe, {**typed, "output": output}, dry_run=dry_run and first)
    if first:
        print_plan(chosen, datasets, dry_run=dry_run)
    if dry_run:
        return
    if output is None:
        raise InvalidOptionError("Name the folder of the run: --output runs/NAME.")
    try:
        with TrainingBar(chosen, datasets, enabled=first) as bar:
            result = run_finetune(
                chosen,
                datasets,
                output,
                name=name or next((one.removeprefix("name=") for one in changes if one.startswith("name=")), None),
                device=None if device == "auto" else device,
                backbone_checkpoint=backbone_checkpoint,
                cache_dir=cache_dir,
                resume=resume,
                observer=bar,
            )
    except KeyboardInterrupt:
        fail("Interrupted. Continue the run with --resume.", status=130)
    if first:
        _print_result(result, datasets)
        page, *_ = write_finetune_report(result, plots=plots or [], errors=errors)
        results.print(f"report: {printable(str(page))}", highlight=False, soft_wrap=True)
        for headline in result.headlines:
            results.print(Text(printable(headline.sentence), style="bold"), soft_wrap=True)
            if headline.caution:
                results.print(Text(printable(headline.caution), style="bold red"), soft_wrap=True)


def _data_setting(recipe: str, names: Sequence[str]) -> str:
    """The setting that replaces the data sets of a recipe; those that the recipe names keep its options."""
    import json

    from perceptmetrics.finetune import load_recipe
    from perceptmetrics.spec.plain import to_plain

    known = {entry.name: to_plain(entry) for entry in load_recipe(recipe).data}
    return f"data={json.dumps([known.get(name, {'name': name}) for name in names])}"


def _with_options(recipe: Recipe, options: Sequence[str]) -> Recipe:
    """Add options to those of a recipe's data sets, or override them."""
    own = parse_options_of_several(options, [entry.name for entry in recipe.data])
    return replace(recipe, data=tuple(replace(entry, options=entry.options | own[entry.name]) for entry in recipe.data))


def _with_all_splits(recipe: Recipe, datasets: Sequence[LabelledImages], settings: Sequence[str]) -> Recipe:
    """The recipe with as many splits as the lists have, where no setting states a number."""
    keys = {setting.partition("=")[0].strip() for setting in settings}
    changes: dict[str, Any] = {} if keys & {"splits.official", "official"} else {"official": True}
    if not keys & {"splits.count", "count"}:
        changes["count"] = max(len(one.official_splits) for one in datasets)
    return replace(recipe, splits=replace(recipe.splits, **changes))


def _folders(recipe: Recipe, roots: Sequence[str]) -> dict[str, str]:
    """The folder of each data set."""
    names = [entry.name for entry in recipe.data]
    if len(set(names)) < len(names):
        raise InvalidOptionError(
            f"The command takes each data set once, got {', '.join(names)}. In Python, give several of a kind names of "
            "their own: dataclasses.replace(data, name=...)."
        )
    if len(names) == 1 and len(roots) == 1:
        return {names[0]: roots[0].removeprefix(f"{names[0]}=")}
    folders = dict(root.partition("=")[::2] for root in roots)
    missing = [name for name in names if not folders.get(name)]
    if missing or len(folders) != len(names):
        raise InvalidOptionError(
            f"Expected --root NAME=FOLDER for each of {', '.join(names)}, got {', '.join(roots) or 'none'}."
        )
    return folders


def _print_result(result: RunResult, datasets: Sequence[LabelledImages]) -> None:
    from perceptmetrics.finetune.run.results import shown_statistics

    numbers = (result.recipe.report.average, "lowest", "highest")
    table = new_table(("data set", "label", "splits", "statistic", *numbers), right=numbers)
    for dataset in datasets:
        shown = shown_statistics(result.recipe.report, classes=dataset.classes is not None)
        for label in ("classes",) if dataset.classes is not None else dataset.labels:
            for statistic in shown:
                values = result.values(dataset.name, label, statistic)
                if not all(map(math.isnan, values)):
                    summary = (result.average(dataset.name, label, statistic), min(values), max(values))
                    cells = [f"{value:.3f}" for value in summary]
                    table.add_row(dataset.name, label, str(len(values)), statistic, *cells)
    results.print(table)
    for name, folder in result.metrics.items():
        results.print(f'{name}: create_metric("{folder}")', highlight=False)
