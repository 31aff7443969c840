"""Report a comparison of two folders as a page, a plot and tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics.experiments.compare import as_pair
from perceptmetrics.reports.files import Makers, failures, json_bytes, plot_makers
from perceptmetrics.reports.methods import comparison_page
from perceptmetrics.reports.plots import draw_strips
from perceptmetrics.scoring.results import csv_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from perceptmetrics.experiments.compare import Comparison
    from perceptmetrics.experiments.method_results import MethodComparison

__all__ = ["COMPARE_FORMATS", "compare_makers"]

COMPARE_FORMATS = ("html", "png", "svg", "pdf", "csv", "json")


def compare_makers(methods: MethodComparison, *, names: tuple[str, str]) -> Makers:
    """Makers of `COMPARE_FORMATS`.

    Args:
        methods: A comparison of two folders.
        names: Folders A and B, as given by the user.
    """
    comparison = as_pair(methods)
    shown = (Path(names[0]).name or names[0], Path(names[1]).name or names[1])

    def draw() -> Figure:
        better = "lower" if comparison.lower_better else "higher"
        return draw_strips(
            [pair.score_a for pair in comparison.pairs],
            [pair.score_b for pair in comparison.pairs],
            names=shown if shown[0] != shown[1] else names,
            score_name=f"{comparison.column} ({better} is better)",
            difference_interval=comparison.mean_difference_interval,
            note=f"A is better in {comparison.wins_a} of {len(comparison.pairs)} pairs, B in {comparison.wins_b}",
        )

    return {
        "html": lambda: comparison_page(methods),
        **plot_makers(draw),
        "csv": lambda: csv_bytes(
            ("name", "image_a", "image_b", "score_a", "score_b", "difference"),
            (
                (pair.name, pair.image_a, pair.image_b, pair.score_a, pair.score_b, pair.difference)
                for pair in comparison.pairs
            ),
        ),
        "json": lambda: json_bytes("compare", _summary(comparison, names)),
    }


def _summary(comparison: Comparison, names: tuple[str, str]) -> dict[str, object]:
    return {
        "score": comparison.column,
        "lower_better": comparison.lower_better,
        "folder_a": names[0],
        "folder_b": names[1],
        "pairs": len(comparison.pairs),
        "wins_a": comparison.wins_a,
        "wins_b": comparison.wins_b,
        "ties": comparison.ties,
        "win_rate_a": comparison.win_rate,
        "win_rate_a_interval_95": comparison.win_rate_interval,
        "sign_test_p": comparison.p_value,
        "mean_difference": comparison.mean_difference,
        "mean_difference_interval_95": comparison.mean_difference_interval,
        "seed": comparison.seed,
        "only_in_a": comparison.only_a,
        "only_in_b": comparison.only_b,
        "failed": failures(comparison.failed),
    }
