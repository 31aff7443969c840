"""Where the results of `score` go: a file, rows or a table on the screen, with progress and the images that fail."""

from __future__ import annotations

import sys
import time
from itertools import islice
from typing import TYPE_CHECKING, cast

from rich.table import Table

from perceptmetrics.apps.cli.console import foreign, messages, new_table, print_failure, printable, results
from perceptmetrics.apps.cli.progress import image_progress
from perceptmetrics.images.examples import DEGRADATIONS, sample_photographs
from perceptmetrics.scoring.results import format_row, format_start
from perceptmetrics.scoring.results_file import ResultsFile
from perceptmetrics.scoring.stream import score_columns, score_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from perceptmetrics.apps.cli.score_embeddings import EmbeddingWork
    from perceptmetrics.apps.cli.score_work import Work
    from perceptmetrics.models.metric import Metric
    from perceptmetrics.scoring.intervals import Columns
    from perceptmetrics.scoring.results import Format, ScoredImage, TextFormat

__all__ = ["print_samples", "score_to_file", "score_to_screen"]

_BETWEEN_UPDATES = 0.1  # seconds


def score_to_file(
    work: Work | EmbeddingWork, columns: Columns, output: Path, form: str, *, resume: bool, fail_fast: bool
) -> int:
    """Score into a file that appears as a whole; the exit status."""
    file = ResultsFile(
        output,
        cast("Format", form),
        columns.names,
        resume=resume,
        origin=work.origin(),
        names=work.names(),
        verify=lambda done: work.check(output, done),
    )
    tally = _Tally(work.count, fail_fast=fail_fast)
    try:
        rows = tally.watch(columns.complete(work.rows(file.done)))
        while some := list(islice(rows, work.rows_at_once)):
            file.add_all(some)
        if not tally.stopped:
            file.finish()
    except BaseException:
        tally.stopped = True
        raise
    finally:
        if tally.stopped:
            file.close()
            journal = printable(str(file.journal))
            messages.print(f"Stopped; the scores so far are in {journal}. Continue with --resume.", markup=False)
    if not tally.stopped:
        messages.print(f"Wrote {printable(str(output))}.", markup=False)
    return tally.status


def score_to_screen(work: Work | EmbeddingWork, columns: Columns, form: str, *, fail_fast: bool) -> int:
    """Score and print rows as they come, or a table at the end; the exit status."""
    tally = _Tally(work.count, fail_fast=fail_fast)
    rows = tally.watch(columns.complete(work.rows({})))
    if form == "table":
        _print_table([row for row in rows if row.error is None], columns)
        return tally.status
    sys.stdout.write(format_start(columns.names, cast("TextFormat", form)))
    for row in rows:
        sys.stdout.write(format_row(row, columns.names, cast("TextFormat", form)))
        sys.stdout.flush()
    return tally.status


class _Tally:
    """Count and report rows as they pass: a progress bar on a terminal, failures at once, a summary at the end.

    Args:
        total: Number of rows; None if it is not known.
        fail_fast: Whether to stop at the first failure.

    Attributes:
        status: Exit status so far: 1 once an image has failed.
        stopped: Whether the rows ended early, at a failure.
    """

    def __init__(self, total: int | None, *, fail_fast: bool) -> None:
        self._total = total
        self._fail_fast = fail_fast
        self.stopped = False
        self.status = 0

    def watch(self, rows: Iterator[ScoredImage]) -> Iterator[ScoredImage]:
        """Pass rows on until the end or, with `fail_fast`, until the first failure."""
        failed = seen = 0
        start = shown = time.monotonic()
        with image_progress() as progress:
            task = progress.add_task("scoring", total=self._total, rate=0.0)
            for row in rows:
                seen += 1
                if messages.is_terminal and (now := time.monotonic()) > shown + _BETWEEN_UPDATES:
                    progress.update(task, completed=seen, rate=seen / (now - start))
                    shown = now
                if row.error is not None:
                    failed += 1
                    self.status = 1
                    print_failure(row.name, row.error)
                yield row
                if self._fail_fast and failed:
                    self.stopped = True
                    break
        seconds = time.monotonic() - start
        if failed or messages.is_terminal:
            messages.print(f"{seen - failed} scored, {failed} failed in {seconds:.1f} s.")


def _print_table(rows: Sequence[ScoredImage], shown: Columns) -> None:
    """Print scores, one image a row; for labels with probabilities, the most probable one."""
    if not rows:
        return
    metrics = shown.metrics
    headings: list[str] = []
    for metric in metrics:
        if _is_distribution(metric):
            headings.append(f"{metric.metric_name}\n(most probable)")
        else:
            for column in score_columns([metric]):
                headings += [
                    f"{column}\n({_direction(metric)})",
                    *(_interval_headings(metric) if shown.with_intervals else ()),
                ]
    table = new_table(("image", *headings), right=headings)
    for row in rows:
        table.add_row(foreign(row.name), *_cells(row.scores, shown))
    if len(rows) > 1:
        means = {column: sum(row.scores[column] for row in rows) / len(rows) for column in rows[0].scores}
        table.add_section()
        table.add_row(f"mean of {len(rows)}", *_cells(means, shown, are_means=True), style="bold")
    results.print(table)


def print_samples(metrics: Sequence[Metric], batch_size: int) -> None:
    """Score sample photographs and degraded copies of them; print one table for each score."""
    scored: dict[str, list[ScoredImage]] = {}
    for name, photograph in sample_photographs().items():
        versions = [photograph, *(degrade(photograph) for degrade in DEGRADATIONS.values())]
        scored[name] = list(score_images(metrics, versions, batch_size=batch_size))
    for metric in metrics:
        for column in score_columns([metric]):
            table = Table(title=f"{column} ({_direction(metric)})", title_justify="left", box=None, pad_edge=False)
            for heading in ("photograph", "original", *DEGRADATIONS):
                table.add_column(heading, justify="left" if heading == "photograph" else "right")
            for name, rows in scored.items():
                table.add_row(name, *(f"{row.scores[column]:.3f}" for row in rows))
            results.print(table)


def _direction(metric: Metric) -> str:
    """Range of a metric, and which end is better."""
    return f"{metric.spec.score.range_text}, {'lower' if metric.lower_better else 'higher'} is better"


def _interval_headings(metric: Metric) -> tuple[str, str]:
    """Headings of the ends of an interval; distinct ones are not needed, the score stands before them."""
    covered = "" if metric.spec.interval is None else f"{metric.spec.interval.coverage * 100:.0f} %"
    return f"lower\n({covered})", f"upper\n({covered})"


def _is_distribution(metric: Metric) -> bool:
    return metric.spec.score.map.gives_probabilities


def _cells(scores: Mapping[str, float], shown: Columns, *, are_means: bool = False) -> Iterator[str]:
    """Scores as text, with the ends of their intervals; the mean of several images has no interval."""
    for metric in shown.metrics:
        columns = score_columns([metric])
        if _is_distribution(metric):
            best = max(columns, key=scores.__getitem__)
            yield f"{metric.labels[columns.index(best)]} {scores[best]:.1%}"
        else:
            for column in columns:
                yield f"{scores[column]:.4f}"
                yield from ("" if are_means else f"{scores[end]:.4f}" for end in shown.ends(column))
