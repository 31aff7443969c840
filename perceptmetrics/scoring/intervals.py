"""Intervals of scores as further columns: `mine_lower` and `mine_upper` beside `mine`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from perceptmetrics.scoring.stream import score_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perceptmetrics.models.metric import Metric
    from perceptmetrics.scoring.results import ScoredImage

__all__ = ["add_intervals", "interval_columns", "interval_ends", "require_intervals"]


def require_intervals(metrics: Sequence[Metric]) -> None:
    """Refuse metrics without intervals.

    Raises:
        InvalidOptionError: A metric has none.
    """
    for metric in metrics:
        metric.score_interval(torch.zeros(1, max(1, len(metric.labels))))


def interval_columns(metrics: Sequence[Metric]) -> list[str]:
    """The score columns, each followed by the lower and the upper end of its interval."""
    return [name for column in score_columns(metrics) for name in (column, *interval_ends(column))]


def add_intervals(rows: Iterable[ScoredImage], metrics: Sequence[Metric]) -> Iterator[ScoredImage]:
    """Add the ends of the interval of each score; rows that have them, from an earlier run, and failures stay.

    Args:
        rows: The scored images.
        metrics: The metrics that scored them, all with intervals.
    """
    columns = [score_columns([metric]) for metric in metrics]
    for row in rows:
        if row.error is not None:
            yield row
            continue
        scores: dict[str, float] = {}
        for metric, own in zip(metrics, columns, strict=True):
            values = torch.tensor([[row.scores[column] for column in own]], dtype=torch.float64)
            lower, upper = metric.score_interval(values)
            for column, *numbers in zip(own, *(part[0].tolist() for part in (values, lower, upper)), strict=True):
                scores |= dict(zip((column, *interval_ends(column)), numbers, strict=True))
        yield replace(row, scores=scores)


def interval_ends(column: str) -> tuple[str, str]:
    """Columns of the lower and the upper end of a score's interval."""
    return f"{column}_lower", f"{column}_upper"
