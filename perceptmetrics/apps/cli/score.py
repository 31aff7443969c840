"""The command `score`: images and videos in, a table or a file of scores out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from perceptmetrics.apps.cli.options import (
    DEFAULT_METRIC,
    BatchSize,
    EmbeddingOptions,
    EncoderOptions,
    ImageColumn,
    KeyColumn,
    MetricNames,
    OutsidePaths,
    PromptOptions,
    Workers,
    command,
)
from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from perceptmetrics.apps.cli.score_embeddings import EmbeddingWork
    from perceptmetrics.apps.cli.score_work import Work
    from perceptmetrics.integrations.ray import Actors

__all__ = ["score"]

_WINDOWS_PER_PART = 2


@dataclass(frozen=True, kw_only=True)
class InputOptions(EmbeddingOptions):
    """What is scored."""

    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Images, folders, patterns such as 'photos/**/*.jpg', videos, tar, Parquet and CSV files, addresses "
            "such as s3://...",
            show_default=False,
        ),
    ] = None
    samples: Annotated[
        bool, typer.Option("--samples", help="Score sample photographs and degraded copies of them.")
    ] = False
    recursive: Annotated[bool, typer.Option(help="Search folders to any depth.")] = True
    image_column: ImageColumn = None
    key_column: KeyColumn = None
    prompt_column: Annotated[
        str | None,
        typer.Option(
            help="Parquet, CSV: column with the text of each image, for metrics that compare them. Default: 'prompt', "
            "'caption' or 'text'.",
            show_default=False,
        ),
    ] = None
    outside_paths: OutsidePaths = False
    fps: Annotated[
        float | None, typer.Option(help="Videos: frames per second to score. Default: 1.", show_default=False)
    ] = None
    every: Annotated[int | None, typer.Option(help="Videos: score every n-th frame.", show_default=False)] = None
    frames: Annotated[
        int | None, typer.Option(help="Videos: number of frames to score, evenly spaced in time.", show_default=False)
    ] = None
    scenes: Annotated[bool, typer.Option("--scenes", help="With --frames: that number from each scene.")] = False


@dataclass(frozen=True, kw_only=True)
class ResultOptions:
    """Where the scores go."""

    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write: .csv, .jsonl or .parquet.", show_default=False),
    ] = None
    form: Annotated[
        Literal["table", "csv", "jsonl", "parquet"] | None,
        typer.Option("--format", help="Default: by the suffix of --output, else a table.", show_default=False),
    ] = None
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the interrupted run that wrote --output, or add to it.")
    ] = False
    frames_output: Annotated[
        Path | None,
        typer.Option(
            help="Videos: folder for frame scores, summary and plot of each. Default: OUTPUT_frames beside --output.",
            show_default=False,
        ),
    ] = None
    interval: Annotated[
        bool,
        typer.Option(
            "--interval",
            help="Add the ends between which people's rating of the image lies, for metrics trained on ratings.",
        ),
    ] = False
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first unreadable image.")] = False


@dataclass(frozen=True, kw_only=True)
class RunOptions(PromptOptions, EncoderOptions):
    """What scores, and how."""

    metric: MetricNames = None
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            help="The metric's own trained weights: a local file or folder. With several metrics METRIC=PATH; repeat.",
            show_default=False,
        ),
    ] = None
    batch_size: BatchSize = 8
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Maximum number of pixels per batch; a larger image is scored alone.")
    ] = 4_000_000
    workers: Workers = None
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="ray: on a cluster, or in several processes on this machine.")
    ] = "local"
    actors: Annotated[
        int | None, typer.Option(min=1, help="Ray: number of processes. Default: as many as fit.", show_default=False)
    ] = None
    cpus_per_actor: Annotated[
        int | None, typer.Option(min=1, help="Ray: CPU cores per process. Default: 1.", show_default=False)
    ] = None
    gpus_per_actor: Annotated[
        float | None,
        typer.Option(min=0, help="Ray: GPUs per process; 0.5 puts two on one GPU. Default: none.", show_default=False),
    ] = None


@command
def score(*, inputs: InputOptions, results: ResultOptions, options: RunOptions) -> int:
    """Score images with one or several metrics.

    Unreadable images are reported and the others scored; the exit status is then 1. Large images are scored alone, at
    their native size if the metric uses it. Examples:

    - `perceptmetrics score --samples`

    - `perceptmetrics score photo.jpg -m clipiqa -m lite_iqa`

    - `perceptmetrics score photos/ --output scores.csv --resume`

    - `perceptmetrics score clip.mp4 --fps 2 --output clip.csv`

    - `perceptmetrics score --embeddings img_emb/ -m laion_aes --output scores.parquet`

    - `perceptmetrics score 'shard-{0000..0099}.tar' --output scores.parquet --engine ray`
    """
    from perceptmetrics.apps.cli.console import loading
    from perceptmetrics.apps.cli.score_output import print_samples
    from perceptmetrics.apps.cli.score_work import Work, split_videos
    from perceptmetrics.factory.create import create_metric
    from perceptmetrics.images.batch import window_size
    from perceptmetrics.images.sources import ReadOptions, find_parts
    from perceptmetrics.video import FrameSampling

    actors = _actors(options)
    sampling = FrameSampling(fps=inputs.fps, every=inputs.every, frames=inputs.frames, scenes=inputs.scenes)
    _check(inputs, results, options)
    form = _format(results)
    if inputs.embeddings:
        from perceptmetrics.apps.cli.score_embeddings import check_embedding_options, embedding_work

        check_embedding_options(inputs, results, options)
        return _finish(embedding_work(inputs, _metric_keywords(options)), results, form)
    videos, images = split_videos(inputs.paths or [])
    if videos and results.interval:
        raise InvalidOptionError("--interval is for images: the mean over a video's frames has another interval.")
    if videos and actors:
        raise InvalidOptionError("Videos are scored in this process; leave out --engine ray, or give images.")
    if not videos and (sampling != FrameSampling() or results.frames_output is not None):
        raise InvalidOptionError("--fps, --every, --frames, --scenes and --frames-output need a video; none is given.")
    part_size = _WINDOWS_PER_PART * window_size(options.batch_size)
    parts = list(find_parts(images, recursive=inputs.recursive, part_size=part_size))
    keywords = _metric_keywords(options)
    metrics = []
    for name, own in keywords.items():
        with loading(name):
            metrics.append(create_metric(name, **own))
    if inputs.samples:
        print_samples(metrics, options.batch_size)
        return 0
    work = Work(
        metrics=metrics,
        keywords=keywords,
        parts=parts,
        read_options=ReadOptions(
            image_column=inputs.image_column,
            key_column=inputs.key_column,
            prompt_column=inputs.prompt_column,
            outside_paths=inputs.outside_paths,
        ),
        actors=actors,
        batch_size=options.batch_size,
        max_pixels=options.max_pixels,
        workers=options.workers,
        videos=videos,
        sampling=sampling,
        frames_folder=_frames_folder(results),
    )
    return _finish(work, results, form)


def _finish(work: Work | EmbeddingWork, results: ResultOptions, form: str) -> int:
    """Score what there is to where it goes; the exit status."""
    from perceptmetrics.apps.cli.score_output import score_to_file, score_to_screen
    from perceptmetrics.scoring.intervals import Columns

    columns = Columns(work.metrics, with_intervals=results.interval)
    if results.output is None:
        return score_to_screen(work, columns, form, fail_fast=results.fail_fast)
    return score_to_file(work, columns, results.output, form, resume=results.resume, fail_fast=results.fail_fast)


def _check(inputs: InputOptions, results: ResultOptions, options: RunOptions) -> None:
    """Refuse options that contradict each other."""
    if [bool(inputs.paths), inputs.samples, bool(inputs.embeddings)].count(True) != 1:
        raise InvalidOptionError("Give either images, folders or patterns to score, or --samples, or --embeddings.")
    if not inputs.embeddings and (inputs.embedding_column or not inputs.normalized or inputs.embedding_encoder):
        raise InvalidOptionError(
            "--embedding-column, --not-normalized and --embedding-encoder go with --embeddings; none are given."
        )
    if inputs.samples and (results.output or results.form or results.resume or results.interval):
        raise InvalidOptionError(
            "--samples prints a table; --output, --format, --resume and --interval go with images of your own."
        )
    if options.engine == "ray" and (options.device != "auto" or options.workers is not None):
        raise InvalidOptionError(
            "--device and --workers are for this process; with --engine ray use --gpus-per-actor, --cpus-per-actor."
        )


def _actors(options: RunOptions) -> Actors | None:
    """The workers of a cluster; None to score in this process."""
    count, cpus, gpus = options.actors, options.cpus_per_actor, options.gpus_per_actor
    if options.engine == "ray":
        from perceptmetrics.integrations.ray import Actors

        return Actors(count=count, cpus=cpus or 1, gpus=gpus or 0.0)
    if (count, cpus, gpus) != (None, None, None):
        raise InvalidOptionError("--actors, --cpus-per-actor and --gpus-per-actor go with --engine ray.")
    return None


def _format(results: ResultOptions) -> str:
    from perceptmetrics.scoring.results import FORMATS

    if results.output is None:
        if results.resume:
            raise InvalidOptionError("--resume continues the file of an earlier run; name it with --output.")
        if results.form == "parquet":
            raise InvalidOptionError("Parquet cannot be printed; name a file with --output.")
        return results.form or "table"
    form = results.form or results.output.suffix.lstrip(".").lower()
    if form not in FORMATS:
        raise InvalidOptionError(
            f"--output writes CSV, JSON Lines or Parquet, got {form or 'no suffix'!r}. Name the file .csv, .jsonl or "
            ".parquet, or add --format."
        )
    return form


def _frames_folder(results: ResultOptions) -> Path | None:
    beside = None if results.output is None else results.output.with_name(f"{results.output.stem}_frames")
    return results.frames_output or beside


def _metric_keywords(options: RunOptions) -> dict[str, dict[str, Any]]:
    """Keywords of `create_metric` by metric; the processes of a cluster choose their devices themselves."""
    from perceptmetrics.apps.cli.metrics import checkpoint_of_each, encoder_keywords, keywords_of_each

    names = list(dict.fromkeys(options.metric or [DEFAULT_METRIC]))
    shared = encoder_keywords(options)
    if options.engine == "ray":
        del shared["device"]
    checkpoints = checkpoint_of_each(names, options.checkpoint or [])
    return {
        name: {**shared, **own, "checkpoint": checkpoints.get(name)}
        for name, own in keywords_of_each(names, options).items()
    }
