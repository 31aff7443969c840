"""Scores and their meaning as tables for people to read."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from perceptmetrics.apps.cli.console import printable, results
from perceptmetrics.scoring.stream import score_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perceptmetrics.models.metric import Metric
    from perceptmetrics.scoring.results import ScoredImage

__all__ = ["columns_with_metric", "direction", "print_table"]


def direction(metric: Metric) -> str:
    """Range of a metric, and which end is the good one."""
    return f"{metric.spec.score.range_text}, {'lower' if metric.lower_better else 'higher'} is better"


def columns_with_metric(metrics: Sequence[Metric]) -> Iterator[tuple[str, Metric]]:
    """Each score column with the metric that it belongs to."""
    for metric in metrics:
        yield from zip(score_columns([metric]), itertools.repeat(metric))


def print_table(rows: list[ScoredImage], metrics: Sequence[Metric]) -> None:
    """Print scores, an image a row; of labels that share a probability, the most probable one."""
    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("image", overflow="fold")
    for metric in metrics:
        if _is_distribution(metric):
            table.add_column(f"{metric.metric_name}\n(most probable)", justify="right")
            continue
        for column in score_columns([metric]):
            table.add_column(f"{column}\n({direction(metric)})", justify="right")
    for row in rows:
        table.add_row(Text(printable(row.name)), *_cells(row.scores, metrics))
    if len(rows) > 1:
        means = {column: sum(row.scores[column] for row in rows) / len(rows) for column in rows[0].scores}
        table.add_section()
        table.add_row(f"mean of {len(rows)}", *_cells(means, metrics), style="bold")
    results.print(table)


def _is_distribution(metric: Metric) -> bool:
    return metric.spec.score.map.gives_probabilities


def _cells(scores: Mapping[str, float], metrics: Sequence[Metric]) -> Iterator[str]:
    for metric in metrics:
        columns = score_columns([metric])
        if _is_distribution(metric):
            best = max(columns, key=scores.__getitem__)
            yield f"{metric.labels[columns.index(best)]} {scores[best]:.1%}"
        else:
            yield from (f"{scores[column]:.4f}" for column in columns)
