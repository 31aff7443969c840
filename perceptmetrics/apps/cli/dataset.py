"""The commands `dataset list` and `dataset check`: which data sets there are, and whether a copy on disk is sound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.text import Text

from perceptmetrics.apps.cli.console import (
    foreign,
    messages,
    name_some,
    new_table,
    printable,
    property_table,
    results,
)
from perceptmetrics.apps.cli.options import DatasetOptions, Seed, command
from perceptmetrics.apps.cli.values import parse_dataset_options, splits_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perceptmetrics.datasets import DatasetReport

__all__ = ["check", "list_datasets"]


@command
def list_datasets() -> None:
    """List the data sets: task, official size, paper, licence, how to obtain them.

    For example:

    - `perceptmetrics dataset list`
    """
    from perceptmetrics.datasets import dataset_info, list_datasets

    headings = ("data set", "task", "images", "paper", "licence", "obtain")
    table = new_table(headings, right=("images",), folded=headings)
    for name in list_datasets():
        info = dataset_info(name)
        images = "" if info.images is None else f"{info.images:,}"
        table.add_row(name, info.task, images, info.paper, info.licence, info.obtain)
    results.print(table)


@command
def check(
    name: Annotated[str, typer.Argument(help="A data set, as named by `perceptmetrics dataset list`.")],
    root: Annotated[Path, typer.Argument(help="Folder of the unpacked data set.")],
    missing: Annotated[
        Literal["error", "skip"], typer.Option(help="Whether labelled images without a file are a problem.")
    ] = "error",
    option: DatasetOptions = None,
    splits: Annotated[
        str | None,
        typer.Option(
            help="Number of splits to check, or a file with a list of splits. Default: as in the data set's papers.",
            metavar="NUMBER|FILE",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
) -> int:
    """Check a data set: counts, labels and their range, sizes, corrupt files, duplicates, leaks between splits.

    Duplicates are found in any format, size or compression. The exit status is 1 when there are problems. Examples:

    - `perceptmetrics dataset check livec ChallengeDB_release/ --missing skip`

    - `perceptmetrics dataset check csv photos/ --option columns=mos --option lower=1 --option upper=5`
    """
    from rich.progress import Progress

    from perceptmetrics.datasets import check_dataset, load_dataset

    dataset = load_dataset(name, root, missing="skip", **parse_dataset_options(option or []))
    dataset, parts, note = splits_of(dataset, name, splits, seed)
    if note:
        messages.print(printable(note), markup=False)
    with Progress(console=messages, transient=True) as bar:
        task = bar.add_task("checking", total=len(dataset))
        report = check_dataset(dataset, parts, accept_missing=missing == "skip", progress=lambda: bar.advance(task))
    results.print(property_table((key, foreign(value)) for key, value in _rows(report)))
    for problem in report.problems:
        results.print(Text("Problem: ", style="bold red"), Text(problem), sep="", soft_wrap=True)
    for what, names in _named(report):
        results.print(Text(f"{what}: {printable(name_some(names))}"), soft_wrap=True)
    return 1 if report.problems else 0


def _rows(report: DatasetReport) -> Iterator[tuple[str, str]]:
    yield "data set", f"{report.name} ({report.task})"
    official = "" if report.expected_images is None else f" of {report.expected_images:,}"
    yield "images", f"{report.images:,}{official}, {len(report.missing):,} missing"
    for rating in report.ratings:
        scale = rating.scale
        better = "higher" if scale.higher_is_better else "lower"
        span = f"{rating.least:g} to {rating.greatest:g}, mean {rating.mean:.4g}"
        ends = f"scale {scale.lower:g} to {scale.upper:g}, {better} is better"
        yield rating.label, f"{span} ({ends}), {rating.images:,} images"
    if report.class_counts:
        yield "classes", ", ".join(f"{label} {count:,}" for label, count in report.class_counts.items())
    for pooled in report.pooled:
        yield (f"{pooled.label} from" if len(report.pooled) > 1 else "made from"), pooled.sentence
    if report.groups is not None:
        yield "groups", f"{report.groups:,}"
    if report.sizes is not None:
        sizes = report.sizes
        (width, height), (small, low), (wide, high) = sizes.most_frequent, sizes.fewest_pixels, sizes.most_pixels
        yield (
            "sizes",
            f"{sizes.distinct} different, {sizes.fraction:.1%} {width}x{height}, from {small}x{low} to {wide}x{high}",
        )
    if report.rendered:
        yield "not files", f"{report.rendered:,}"
    yield "splits", f"{report.splits}, {len(report.leaks)} leaks"


def _named(report: DatasetReport) -> Iterator[tuple[str, Sequence[str]]]:
    if report.missing:
        yield "Missing", report.missing
    if report.unreadable:
        yield "Unreadable", [f"{name} ({reason})" for name, reason in report.unreadable]
    if report.duplicates:
        yield "Identical", [" = ".join(names) for names in report.duplicates]
    if report.lookalikes:
        yield "The same picture", [" = ".join(names) for names in report.lookalikes]
    for leak in report.leaks:
        yield f"In {' and '.join(leak.parts)} of split {leak.split} ({leak.what})", leak.names
