"""`score`: images in, a table or a file of scores out."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from perceptmetrics.cli.console import printable, results
from perceptmetrics.cli.experiment_metrics import chosen_device
from perceptmetrics.cli.tables import columns_with_metric, direction, print_table
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.factory import create_metric
from perceptmetrics.files import find_images
from perceptmetrics.results import FORMATS, Format, ResultsFile, ScoredImage, format_row, format_start
from perceptmetrics.samples import DEGRADATIONS, sample_photographs
from perceptmetrics.scoring import score_columns, score_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console

    from perceptmetrics.io import ImageSource
    from perceptmetrics.metric import Metric

__all__ = ["Request", "run"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for; see the options of `perceptmetrics score`."""

    paths: list[str]
    metrics: list[str]
    samples: bool
    form: str | None
    output: Path | None
    resume: bool
    recursive: bool
    device: str
    batch_size: int
    max_pixels: int
    workers: int | None
    fail_fast: bool
    checkpoints: list[str]
    create_options: dict[str, Any] = field(default_factory=dict)

    def score(self, metrics: list[Metric], sources: Iterable[ImageSource]) -> Iterator[ScoredImage]:
        """Score a stream of images with the limits that the user set."""
        return score_images(
            metrics, sources, batch_size=self.batch_size, max_pixels=self.max_pixels, workers=self.workers
        )


def run(request: Request, messages: Console) -> int:
    """Score and print.

    Returns:
        Exit status: 0 when every image was scored, 1 when some could not be.
    """
    if bool(request.paths) == request.samples:
        raise InvalidOptionError("Give images, folders or patterns to score, or --samples, and not both.")
    if request.samples and (request.output or request.form or request.resume):
        raise InvalidOptionError(
            "--samples prints a table; --output, --format and --resume go with images of your own."
        )
    form = _format(request)
    names = [str(path) for path in find_images(request.paths, recursive=request.recursive)]
    wanted = list(dict.fromkeys(request.metrics))
    checkpoints = _checkpoint_of(wanted, request.checkpoints)
    metrics = [_create(name, checkpoints.get(name), request) for name in wanted]
    if request.samples:
        return _run_samples(request, metrics)
    if request.output is not None:
        return _run_to_file(request, metrics, names, cast("Format", form), messages)
    return _run_to_screen(request, metrics, names, form, messages)


def _format(request: Request) -> str:
    if request.output is None:
        if request.resume:
            raise InvalidOptionError("--resume continues the file of an earlier run; name it with --output.")
        return request.form or "table"
    form = request.form or request.output.suffix.lstrip(".").lower()
    if form not in FORMATS:
        raise InvalidOptionError(
            f"--output writes CSV or JSON Lines, got {form or 'no suffix'!r}. Name the file .csv or .jsonl, "
            "or add --format."
        )
    return form


def _checkpoint_of(metrics: list[str], checkpoints: list[str]) -> dict[str, str]:
    """Which metric each checkpoint belongs to: METRIC=PATH, or just PATH for a single metric."""
    belongs: dict[str, str] = {}
    for checkpoint in checkpoints:
        name, _, path = checkpoint.partition("=")
        if name not in metrics:
            if len(metrics) > 1:
                raise InvalidOptionError(
                    f"--checkpoint {checkpoint} does not say which metric it is for. Write METRIC=PATH, with one of "
                    f"{', '.join(metrics)}."
                )
            name, path = metrics[0], checkpoint
        if name in belongs:
            raise InvalidOptionError(f"--checkpoint is given twice for {name}.")
        belongs[name] = path
    return belongs


def _create(name: str, checkpoint: str | None, request: Request) -> Metric:
    device = chosen_device(request.device)
    metric: Metric = create_metric(name, device=device, checkpoint=checkpoint, **request.create_options)
    return metric


def _run_samples(request: Request, metrics: list[Metric]) -> int:
    scored: dict[str, list[ScoredImage]] = {}
    for name, photograph in sample_photographs().items():
        versions = [photograph, *(degrade(photograph) for degrade in DEGRADATIONS.values())]
        scored[name] = list(request.score(metrics, versions))
    for column, metric in columns_with_metric(metrics):
        table = Table(title=f"{column} ({direction(metric)})", title_justify="left", box=None, pad_edge=False)
        for heading in ("photograph", "original", *DEGRADATIONS):
            table.add_column(heading, justify="left" if heading == "photograph" else "right")
        for name, rows in scored.items():
            table.add_row(name, *(f"{row.scores[column]:.3f}" for row in rows))
        results.print(table)
    return 0


def _run_to_file(request: Request, metrics: list[Metric], names: list[str], form: Format, messages: Console) -> int:
    output = cast("Path", request.output)
    file = ResultsFile(output, form, score_columns(metrics), resume=request.resume)
    fresh = request.score(metrics, (name for name in names if name not in file.done))
    rows = (file.done[name] if name in file.done else next(fresh) for name in names)
    tally = _Tally(request, messages, len(names))
    try:
        for row in tally.watch(rows):
            file.add(row)
    except BaseException:
        tally.stopped = True
        raise
    finally:
        if tally.stopped:
            file.close()
            journal = printable(str(file.journal))
            messages.print(f"Stopped; the scores so far are in {journal}. Continue with --resume.", markup=False)
    if not tally.stopped:
        file.finish()
        messages.print(f"Wrote {printable(str(output))}.", markup=False)
    return tally.status


def _run_to_screen(request: Request, metrics: list[Metric], names: list[str], form: str, messages: Console) -> int:
    columns = score_columns(metrics)
    tally = _Tally(request, messages, len(names))
    rows = tally.watch(request.score(metrics, names))
    if form == "table":
        print_table([row for row in rows if row.error is None], metrics)
        return tally.status
    sys.stdout.write(format_start(columns, cast("Format", form)))
    for row in rows:
        sys.stdout.write(format_row(row, columns, cast("Format", form)))
        sys.stdout.flush()
    return tally.status


class _Tally:
    """Counts and reports while rows go by: a progress bar on a terminal, failures as they come, a last line."""

    def __init__(self, request: Request, messages: Console, total: int) -> None:
        self._fail_fast = request.fail_fast
        self._messages = messages
        self._total = total
        self.stopped = False
        self.status = 0

    def watch(self, rows: Iterator[ScoredImage]) -> Iterator[ScoredImage]:
        """Pass rows on until the end or, with fail-fast, until the first failure."""
        failed = seen = 0
        start = time.monotonic()
        with self._progress() as progress:
            task = progress.add_task("scoring", total=self._total, rate=0.0)
            for row in rows:
                seen += 1
                progress.update(task, completed=seen, rate=seen / (time.monotonic() - start))
                if row.error is not None:
                    failed += 1
                    self.status = 1
                    reason = row.error if row.name in row.error else f"{row.name}: {row.error}"
                    self._messages.print(Text("Not scored: ", style="red"), Text(printable(reason)), sep="")
                yield row
                if self._fail_fast and failed:
                    self.stopped = True
                    break
        seconds = time.monotonic() - start
        if failed or self._messages.is_terminal:
            self._messages.print(f"{seen - failed} scored, {failed} failed in {seconds:.1f} s.")

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.1f} images/s"),
            TimeRemainingColumn(),
            console=self._messages,
            disable=not self._messages.is_terminal,
            transient=True,
        )
