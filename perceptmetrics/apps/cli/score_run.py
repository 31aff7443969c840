"""`score`: images in, a table or a file of scores out."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from perceptmetrics.apps.cli.console import printable, results
from perceptmetrics.apps.cli.experiment_metrics import chosen_device
from perceptmetrics.apps.cli.score_videos import VideoRequest, divide
from perceptmetrics.apps.cli.tables import columns_with_metric, direction, print_table
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.factory.create import create_metric
from perceptmetrics.images.batch import window_size
from perceptmetrics.images.examples import DEGRADATIONS, sample_photographs
from perceptmetrics.images.sources import Part, ReadOptions, find_parts, read_part
from perceptmetrics.integrations.ray import Actors, score_parts
from perceptmetrics.scoring.results import FORMATS, Format, ScoredImage, TextFormat, format_row, format_start
from perceptmetrics.scoring.results_file import ResultsFile
from perceptmetrics.scoring.stream import score_columns, score_images
from perceptmetrics.video import FrameSampling

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from perceptmetrics.models.metric import Metric

__all__ = ["Request", "run"]

_WINDOWS_PER_PART = 2

Given: TypeAlias = "tuple[list[Part], list[str]]"
"""Pieces of work with images, and videos."""


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
    read_options: ReadOptions = field(default_factory=ReadOptions)
    actors: Actors | None = None
    sampling: FrameSampling = field(default_factory=FrameSampling)
    frames_output: Path | None = None
    create_options: dict[str, Any] = field(default_factory=dict)

    def metric_options(self) -> dict[str, dict[str, Any]]:
        """Options of `create_metric` by metric."""
        names = list(dict.fromkeys(self.metrics))
        checkpoints = _checkpoint_of(names, self.checkpoints)
        device = {} if self.actors else {"device": chosen_device(self.device)}
        return {name: {**device, "checkpoint": checkpoints.get(name), **self.create_options} for name in names}

    def score(
        self,
        metrics: list[Metric],
        parts: Sequence[Part],
        videos: Sequence[str] = (),
        known: Mapping[str, ScoredImage] | None = None,
    ) -> Iterator[ScoredImage]:
        """Score all parts, here or on a cluster, then videos; rows that are known are given again."""
        yield from self._score_images(metrics, parts, known)
        yield from self._of_videos(videos).score(metrics, known or {})

    def _of_videos(self, videos: Sequence[str]) -> VideoRequest:
        beside = None if self.output is None else self.output.with_name(f"{self.output.stem}_frames")
        return VideoRequest(
            paths=videos,
            sampling=self.sampling,
            frames_folder=self.frames_output or beside,
            batch_size=self.batch_size,
            max_pixels=self.max_pixels,
        )

    def _score_images(
        self, metrics: list[Metric], parts: Sequence[Part], known: Mapping[str, ScoredImage] | None
    ) -> Iterator[ScoredImage]:
        if self.actors:
            return score_parts(
                self.metric_options(),
                parts,
                actors=self.actors,
                options=self.read_options,
                known=known,
                batch_size=self.batch_size,
                max_pixels=self.max_pixels,
            )
        images = (image for part in parts for image in read_part(part, self.read_options, known or {}))
        return score_images(
            metrics,
            images,
            batch_size=self.batch_size,
            max_pixels=self.max_pixels,
            workers=self.workers,
            known=known,
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
    if request.actors and (request.device != "auto" or request.workers is not None):
        raise InvalidOptionError(
            "--device and --workers are for this process; with --engine ray say --gpus-per-actor, --cpus-per-actor."
        )
    form = _format(request)
    size = _WINDOWS_PER_PART * window_size(request.batch_size)
    videos, others = divide(request.paths)
    _check_video_options(request, videos)
    parts = list(find_parts(others, recursive=request.recursive, part_size=size))
    metrics = [create_metric(name, **options) for name, options in request.metric_options().items()]
    if request.samples:
        return _run_samples(request, metrics)
    if request.output is not None:
        return _run_to_file(request, metrics, (parts, videos), cast("Format", form), messages)
    return _run_to_screen(request, metrics, (parts, videos), form, messages)


def _check_video_options(request: Request, videos: list[str]) -> None:
    if videos and request.actors:
        raise InvalidOptionError("Videos are scored in this process; leave --engine ray out, or give images.")
    if not videos and (request.sampling != FrameSampling() or request.frames_output is not None):
        raise InvalidOptionError(
            "--fps, --every, --frames, --scenes and --frames-output are for videos; none is given."
        )


def _format(request: Request) -> str:
    if request.output is None:
        if request.resume:
            raise InvalidOptionError("--resume continues the file of an earlier run; name it with --output.")
        if request.form == "parquet":
            raise InvalidOptionError("Parquet is not for the screen; name a file with --output.")
        return request.form or "table"
    form = request.form or request.output.suffix.lstrip(".").lower()
    if form not in FORMATS:
        raise InvalidOptionError(
            f"--output writes CSV, JSON Lines or Parquet, got {form or 'no suffix'!r}. Name the file .csv, .jsonl or "
            ".parquet, or add --format."
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


def _run_samples(request: Request, metrics: list[Metric]) -> int:
    scored: dict[str, list[ScoredImage]] = {}
    for name, photograph in sample_photographs().items():
        versions = [photograph, *(degrade(photograph) for degrade in DEGRADATIONS.values())]
        scored[name] = list(score_images(metrics, versions, batch_size=request.batch_size))
    for column, metric in columns_with_metric(metrics):
        table = Table(title=f"{column} ({direction(metric)})", title_justify="left", box=None, pad_edge=False)
        for heading in ("photograph", "original", *DEGRADATIONS):
            table.add_column(heading, justify="left" if heading == "photograph" else "right")
        for name, rows in scored.items():
            table.add_row(name, *(f"{row.scores[column]:.3f}" for row in rows))
        results.print(table)
    return 0


def _run_to_file(request: Request, metrics: list[Metric], given: Given, form: Format, messages: Console) -> int:
    output = cast("Path", request.output)
    file = ResultsFile(output, form, score_columns(metrics), resume=request.resume)
    tally = _Tally(request, messages, *given)
    try:
        for row in tally.watch(request.score(metrics, *given, file.done)):
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


def _run_to_screen(request: Request, metrics: list[Metric], given: Given, form: str, messages: Console) -> int:
    columns = score_columns(metrics)
    tally = _Tally(request, messages, *given)
    rows = tally.watch(request.score(metrics, *given))
    if form == "table":
        print_table([row for row in rows if row.error is None], metrics)
        return tally.status
    sys.stdout.write(format_start(columns, cast("TextFormat", form)))
    for row in rows:
        sys.stdout.write(format_row(row, columns, cast("TextFormat", form)))
        sys.stdout.flush()
    return tally.status


class _Tally:
    """Counts and reports while rows go by: a progress bar on a terminal, failures as they come, a last line."""

    def __init__(self, request: Request, messages: Console, parts: Sequence[Part], videos: Sequence[str]) -> None:
        self._fail_fast = request.fail_fast
        self._messages = messages
        all_counted = all(part.container is None for part in parts)
        self._total = len(videos) + sum(len(part.files) for part in parts) if all_counted else None
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
