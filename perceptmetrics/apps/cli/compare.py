"""The command `compare`: images of the same names in two or more folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceptmetrics.apps.cli.console import (
    fail,
    foreign,
    format_interval,
    format_number,
    new_table,
    print_names,
    property_table,
    results,
)
from perceptmetrics.apps.cli.options import DEFAULT_METRIC, Label, MetricName, Output, ScoringOptions, Seed, command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from perceptmetrics.experiments import Comparison, MethodComparison

__all__ = ["compare"]


@command
def compare(
    folders: Annotated[
        list[Path], typer.Argument(help="Two or more folders with images of the same names.", show_default=False)
    ],
    metric: MetricName = DEFAULT_METRIC,
    label: Label = None,
    seed: Seed = 0,
    output: Output = None,
    *,
    options: ScoringOptions,
) -> int:
    """Compare images of the same names in folders: means, win rates, sign tests, corrected for their number.

    Files of --output: page (.html), plot (.png, .svg, .pdf), scores (.csv), result (.json). Examples:

    - `perceptmetrics compare restored/ blurred/ -o comparison/`

    - `perceptmetrics compare method_a/ method_b/ method_c/ -o comparison/`
    """
    from perceptmetrics.apps.cli.metrics import create_metrics, scorer_with_progress
    from perceptmetrics.apps.cli.output import check_before, finish
    from perceptmetrics.experiments import compare_methods
    from perceptmetrics.reports import METHODS_FORMATS, compare_makers, folder_names, methods_makers, methods_sentence

    if len(folders) < 2:
        fail("Name two or more folders with images of the same names.")
    check_before(output, METHODS_FORMATS)
    (created,) = create_metrics([metric], options)
    scorer = scorer_with_progress(options)
    comparison = compare_methods(created, folders, label=label, seed=seed, scorer=scorer)
    if len(folders) == 2:
        _print_pair(comparison)
        makers = compare_makers(comparison, names=(str(folders[0]), str(folders[1])))
        return finish(output, "compare", makers, comparison.failed)
    names = folder_names([method.folder for method in comparison.methods])
    direction = "lower" if comparison.lower_better else "higher"
    results.print(f"{comparison.column} of {len(comparison.images)} images in all folders ({direction} is better)")
    results.print(_methods_table(comparison, names))
    results.print()
    results.print(_pairs_table(comparison, names))
    results.print(foreign(f"{methods_sentence(comparison)} (Friedman's test of all: p = {comparison.p_value:.3g})"))
    for name, method in zip(names, comparison.methods, strict=True):
        print_names(f"Not in all folders, of {name}", method.alone)
    return finish(output, "compare", methods_makers(comparison), comparison.failed)


def _methods_table(comparison: MethodComparison, names: Sequence[str]) -> Table:
    numbers = ("mean", "95 % interval", "mean rank", "win rate", "alone best on")
    table = new_table(("folder", *numbers), right=numbers, folded=("folder",))
    for index in comparison.order:
        method = comparison.methods[index]
        table.add_row(
            foreign(names[index]),
            f"{method.mean:.4f}",
            format_interval(method.mean_interval, ".4f"),
            f"{method.mean_rank:.2f}",
            format_number(method.win_rate, ".1%"),
            str(method.best),
        )
    return table


def _pairs_table(comparison: MethodComparison, names: Sequence[str]) -> Table:
    numbers = ("wins", "losses", "ties", "difference", "interval, all together 95 %", "p, Holm")
    table = new_table(("folder", "against", *numbers), right=numbers, folded=("folder", "against"))
    order = comparison.order
    for place, one in enumerate(order):
        for other in order[place + 1 :]:
            pair = comparison.between(one, other)
            table.add_row(
                foreign(names[one]),
                foreign(names[other]),
                *(str(count) for count in (pair.wins, pair.losses, pair.ties)),
                f"{pair.mean_difference:+.4f}",
                format_interval(pair.interval, "+.4f"),
                f"{pair.p_holm:.3g}",
            )
    return table


def _print_pair(methods: MethodComparison) -> None:
    from perceptmetrics.experiments.compare import as_pair

    comparison = as_pair(methods)
    results.print(_table(comparison))
    for side, alone in (("A", comparison.only_a), ("B", comparison.only_b)):
        print_names(f"Only in {side}", alone)


def _table(comparison: Comparison) -> Table:
    pairs = comparison.pairs
    direction = "lower" if comparison.lower_better else "higher"
    rows = {
        "score": f"{comparison.column} ({direction} is better)",
        "pairs": str(len(pairs)),
        "A better": f"{comparison.wins_a}",
        "B better": f"{comparison.wins_b}",
        "ties": f"{comparison.ties}",
        "win rate of A": f"{format_number(comparison.win_rate, '.1%')} "
        f"{format_interval(comparison.win_rate_interval, '.1%')}",
        "sign test": f"p = {comparison.p_value:.3g}",
        "mean of A": f"{sum(pair.score_a for pair in pairs) / len(pairs):.4f}",
        "mean of B": f"{sum(pair.score_b for pair in pairs) / len(pairs):.4f}",
        "A minus B": f"{comparison.mean_difference:.4f} {format_interval(comparison.mean_difference_interval, '.4f')}",
    }
    return property_table(rows.items())
