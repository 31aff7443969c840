"""Columns of scores, and of the intervals around them: `mine_lower` and `mine_upper` beside `mine`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from perceptmetrics.scoring.stream import score_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perceptmetrics.models.metric import Metric
    from perceptmetrics.scoring.results import ScoredImage

__all__ = ["Columns"]


class Columns:
    """The columns of the scores of metrics.

    Args:
        metrics: The metrics.
        with_intervals: Whether each score is followed by the ends of its interval.

    Attributes:
        metrics: The metrics.
        with_intervals: See above.
        names: Names of all columns.

    Raises:
        InvalidOptionError: A metric is given twice, or has no intervals although they are wanted.
    """

    def __init__(self, metrics: Sequence[Metric], *, with_intervals: bool = False) -> None:
        self.metrics, self.with_intervals = tuple(metrics), with_intervals
        scores = score_columns(metrics)
        self.names = [name for column in scores for name in (column, *self.ends(column))]
        if with_intervals:
            for metric in metrics:
                metric.score_interval(torch.zeros(1, max(1, len(metric.labels))))

    def ends(self, column: str) -> tuple[str, ...]:
        """The columns of the ends of a score's interval; none without intervals."""
        return (f"{column}_lower", f"{column}_upper") if self.with_intervals else ()

    def complete(self, rows: Iterable[ScoredImage]) -> Iterator[ScoredImage]:
        """Add the ends of the intervals to scored images; failures stay as they are."""
        for row in rows:
            yield self._with_ends(row) if self.with_intervals and row.error is None else row

    def _with_ends(self, row: ScoredImage) -> ScoredImage:
        scores: dict[str, float] = {}
        for metric in self.metrics:
            columns = score_columns([metric])
            values = torch.tensor([row.scores[column] for column in columns], dtype=torch.float64)
            lower, upper = (end.tolist() for end in metric.score_interval(values))
            for index, column in enumerate(columns):
                numbers = (row.scores[column], lower[index], upper[index])
                scores |= dict(zip((column, *self.ends(column)), numbers, strict=True))
        return replace(row, scores=scores)
