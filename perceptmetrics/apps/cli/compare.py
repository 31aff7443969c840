"""The command `compare`: images of the same names in two folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceptmetrics.apps.cli.console import format_interval, format_number, print_names, property_table, results
from perceptmetrics.apps.cli.options import DEFAULT_METRIC, Label, MetricName, Output, ScoringOptions, Seed, command

if TYPE_CHECKING:
    from rich.table import Table

    from perceptmetrics.experiments import Comparison

__all__ = ["compare"]


@command
def compare(
    folder_a: Annotated[Path, typer.Argument(help="Folder A.", show_default=False)],
    folder_b: Annotated[Path, typer.Argument(help="Folder B, with images of the same names.", show_default=False)],
    metric: MetricName = DEFAULT_METRIC,
    label: Label = None,
    seed: Seed = 0,
    output: Output = None,
    *,
    options: ScoringOptions,
) -> int:
    """Compare images of the same names in two folders: win rate, mean difference, sign test.

    Files of --output: plot (.png, .svg, .pdf), scores of the pairs (.csv), result (.json). Example:

    - `perceptmetrics compare restored/ blurred/ -o comparison/`
    """
    from perceptmetrics.apps.cli.metrics import create_metrics, scorer_with_progress
    from perceptmetrics.apps.cli.output import check_before, finish
    from perceptmetrics.experiments import compare_folders
    from perceptmetrics.reports import COMPARE_FORMATS, compare_makers

    check_before(output, COMPARE_FORMATS)
    (created,) = create_metrics([metric], options)
    scorer = scorer_with_progress(options)
    comparison = compare_folders(created, folder_a, folder_b, label=label, seed=seed, scorer=scorer)
    results.print(_table(comparison))
    for side, alone in (("A", comparison.only_a), ("B", comparison.only_b)):
        print_names(f"Only in {side}", alone)
    makers = compare_makers(comparison, names=(str(folder_a), str(folder_b)))
    return finish(output, "compare", makers, comparison.failed)


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
