"""What the commands about data sets do: call the library, print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from perceptmetrics.apps.cli.cells import name_some
from perceptmetrics.apps.cli.console import messages, printable, results
from perceptmetrics.apps.cli.dataset_options import parse_dataset_options
from perceptmetrics.datasets import check_dataset, dataset_info, list_datasets, load_dataset, make_splits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from perceptmetrics.datasets import DatasetReport

__all__ = ["print_datasets", "run_check"]


def print_datasets() -> None:
    """Print the data sets and their cards."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("data set", "task", "images", "paper", "licence", "obtain"):
        table.add_column(heading, justify="right" if heading == "images" else "left", overflow="fold")
    for name in list_datasets():
        info = dataset_info(name)
        images = "" if info.images is None else f"{info.images:,}"
        table.add_row(name, info.task, images, info.paper, info.licence, info.obtain)
    results.print(table)


def run_check(
    name: str, root: Path, options: Sequence[str], *, accept_missing: bool, count: int | None, seed: int
) -> int:
    """Carry out `dataset check`; the exit status."""
    dataset = load_dataset(name, root, missing="skip", **parse_dataset_options(options))
    info = dataset_info(name)
    splits = make_splits(
        dataset, count or info.split_count, seed=seed, test=info.test_fraction, validation=info.validation_fraction
    )
    with Progress(console=messages, transient=True) as bar:
        task = bar.add_task("checking", total=len(dataset))
        report = check_dataset(dataset, splits, accept_missing=accept_missing, progress=lambda: bar.advance(task))
    results.print(_table(report))
    for problem in report.problems:
        results.print(Text("Problem: ", style="bold red"), Text(problem), sep="", soft_wrap=True)
    for what, names in _named(report):
        results.print(Text(f"{what}: {printable(name_some(names))}"), soft_wrap=True)
    return 1 if report.problems else 0


def _table(report: DatasetReport) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in _rows(report):
        table.add_row(key, Text(printable(value)))
    return table


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
        yield "The same", [" = ".join(names) for names in report.duplicates]
    for leak in report.leaks:
        yield f"In {' and '.join(leak.parts)} of split {leak.split} ({leak.what})", leak.names
