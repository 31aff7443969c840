"""The command `benchmark`: metrics against the labels of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from perceptmetrics.apps.cli.console import (
    foreign,
    format_interval,
    format_number,
    messages,
    name_some,
    new_table,
    printable,
    results,
)
from perceptmetrics.apps.cli.options import (
    Confusion,
    DatasetOptions,
    MetricNames,
    Output,
    ScoringOptions,
    Seed,
    command,
)
from perceptmetrics.apps.cli.values import parse_confusion, parse_dataset_options, splits_of
from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from rich.table import Table

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.evaluation import Benchmark

__all__ = ["benchmark"]

_RATING_COLUMNS = {
    "srcc": ("SRCC", ".4f"),
    "plcc": ("PLCC", ".4f"),
    "plcc_logistic4": ("PLCC 4", ".4f"),
    "plcc_logistic5": ("PLCC 5", ".4f"),
    "krcc": ("KRCC", ".4f"),
    "rmse": ("RMSE", ".4g"),
    "rmse_logistic4": ("RMSE 4", ".4g"),
    "mse": ("MSE", ".4g"),
}
_CLASS_COLUMNS = {
    "accuracy": "accuracy",
    "binary_accuracy": "binary",
    "mean_average_precision": "mAP",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
}


@command
def benchmark(
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", help="A data set, as named by `perceptmetrics dataset list`.")
    ],
    root: Annotated[Path, typer.Option("--root", "-r", help="Folder of the unpacked data set.")],
    metric: MetricNames = None,
    splits: Annotated[
        str | None,
        typer.Option(
            help="Number of splits whose test parts are evaluated, 0 for the whole set only; or a file with a list of "
            "splits (CSV, JSON, or a pickle such as pyiqa's). Default: as in the data set's papers.",
            metavar="NUMBER|FILE",
            show_default=False,
        ),
    ] = None,
    cross: Annotated[
        str | None,
        typer.Option(help="Another data set to evaluate as a whole: do the metrics transfer?", show_default=False),
    ] = None,
    cross_root: Annotated[Path | None, typer.Option(help="Its folder.", show_default=False)] = None,
    missing: Annotated[
        Literal["error", "skip"], typer.Option(help="What to do about labelled images without a file.")
    ] = "error",
    option: DatasetOptions = None,
    cross_option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: option of the other data set; repeat.", show_default=False)
    ] = None,
    seed: Seed = 0,
    confusion: Confusion = None,
    output: Output = None,
    *,
    options: ScoringOptions,
) -> int:
    """Evaluate metrics on a labelled data set: SRCC, PLCC, KRCC, errors; or accuracy, mAP, F1.

    Files of --output: page (.html), plot (.png, .svg, .pdf), predictions for each image (.csv), all statistics
    (.json). Examples:

    - `perceptmetrics benchmark -m lite_iqa -d livec -r ChallengeDB_release/ -o livec/`

    - `perceptmetrics benchmark -m runs/mine -d csv -r photos/ --option columns=mos --option lower=1 --option upper=5`
    """
    from perceptmetrics.apps.cli.metrics import create_metrics, scorer_with_progress
    from perceptmetrics.apps.cli.output import check_before, finish
    from perceptmetrics.datasets import load_dataset
    from perceptmetrics.evaluation import benchmark as run_benchmark
    from perceptmetrics.reports import BENCHMARK_FORMATS, BENCHMARK_STEMS, benchmark_makers
    from perceptmetrics.reports.mistakes import check_confusion

    if cross is None and (cross_root is not None or cross_option):
        raise typer.BadParameter("--cross-root and --cross-option go with --cross.")
    check_before(output, BENCHMARK_FORMATS)
    datasets = [load_dataset(dataset, root, missing=missing, **parse_dataset_options(option or []))]
    if cross is not None:
        if cross_root is None:
            raise InvalidOptionError(f"Name the folder of {cross} with --cross-root.")
        datasets.append(load_dataset(cross, cross_root, missing=missing, **parse_dataset_options(cross_option or [])))
    confused = parse_confusion(confusion)
    check_confusion(confused, datasets)
    datasets[0], parts, note = splits_of(datasets[0], dataset, splits, seed)
    if note:
        messages.print(printable(note), markup=False)
    metrics = create_metrics(metric, options)
    scorer = scorer_with_progress(options)
    benchmarks = []
    for evaluated, tested in zip(datasets, (parts, ()), strict=False):
        benchmarks.append(run_benchmark(metrics, evaluated, tested, seed=seed, scorer=scorer))
        _print(benchmarks[-1], evaluated)
    failed = [row for done in benchmarks for row in done.predictions.failed]
    scored, used = (", ".join(one.metric_name for one in metrics), " and ".join(data.name for data in datasets))
    makers = benchmark_makers(benchmarks, title=printable(f"{scored} on {used}"), confusion=confused)
    return finish(output, BENCHMARK_STEMS, makers, failed)


def _print(done: Benchmark, dataset: LabelledImages) -> None:
    results.print(f"{printable(dataset.name)}: {len(dataset)} images, {dataset.task}", markup=False, style="bold")
    results.print(_rating_table(done) if done.ratings else _class_table(done))
    if dataset.missing:
        named = f"{len(dataset.missing)} labelled images have no file: {name_some(dataset.missing)}."
        messages.print(printable(named), markup=False)


def _rating_table(benchmark: Benchmark) -> Table:
    """Statistics of each score and rating: a row for all images, one for the median over test parts."""
    headings = [heading for heading, _ in _RATING_COLUMNS.values()]
    numbers = [headings[0], "95 %", headings[1], "95 %", *headings[2:]]
    table = new_table(("score", "rating", "images", *numbers), right=numbers, folded=numbers)
    for result in benchmark.ratings:
        statistics = result.statistics
        cells = [format_number(getattr(statistics, name), form) for name, (_, form) in _RATING_COLUMNS.items()]
        cells.insert(1, format_interval(statistics.srcc_interval, ".3f"))
        cells.insert(3, format_interval(statistics.plcc_interval, ".3f"))
        table.add_row(foreign(result.column), foreign(result.rating), f"all {statistics.n}", *cells)
        if result.medians:
            medians = [format_number(result.medians[name], form) for name, (_, form) in _RATING_COLUMNS.items()]
            tests = f"median of {len(result.on_tests)} tests"
            table.add_row("", "", tests, medians[0], "", medians[1], "", *medians[2:])
    return table


def _class_table(benchmark: Benchmark) -> Table:
    """Statistics of each metric: a row for all images, one for the median over test parts."""
    headings = list(_CLASS_COLUMNS.values())
    numbers = [headings[0], "95 %", *headings[1:]]
    table = new_table(("metric", "images", *numbers), right=numbers, folded=numbers)
    for result in benchmark.classes:
        statistics = result.statistics
        cells = [format_number(getattr(statistics, name), ".4f") for name in _CLASS_COLUMNS]
        cells.insert(1, format_interval(statistics.accuracy_interval, ".3f"))
        table.add_row(foreign(result.metric), f"all {statistics.n}", *cells)
        if result.medians:
            medians = [format_number(result.medians[name], ".4f") for name in _CLASS_COLUMNS]
            table.add_row("", f"median of {len(result.on_tests)} tests", medians[0], "", *medians[1:])
    return table
