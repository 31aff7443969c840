"""`score` and its options."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from perceptmetrics.apps.cli.arguments import Precision
from perceptmetrics.apps.cli.console import fail, messages
from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from perceptmetrics.integrations.ray import Actors

__all__ = ["score"]


class OutputFormat(str, Enum):
    """How results are printed or written."""

    table = "table"
    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"


class Engine(str, Enum):
    """What scores."""

    local = "local"
    ray = "ray"


def score(
    paths: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Argument(
            help="Images, folders, patterns such as 'photos/**/*.jpg', videos, tar and Parquet files, addresses such "
            "as s3://...",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option("--metric", "-m", help="Metric to score with; repeat for several. Default: lite_iqa."),
    ] = None,
    samples: Annotated[
        bool, typer.Option("--samples", help="Score sample photographs beside degraded copies of them.")
    ] = False,
    form: Annotated[
        Optional[OutputFormat],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option("--format", help="Default: by the suffix of --output, else a table.", show_default=False),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option("--output", "-o", help="File to write: .csv, .jsonl, .parquet.", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the interrupted run that wrote --output, or add to it.")
    ] = False,
    recursive: Annotated[bool, typer.Option(help="Search folders to any depth.")] = True,
    device: Annotated[str, typer.Option(help="'auto' (a CUDA GPU if there is one), 'cpu', 'cuda:1', 'mps'.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Most images of one size to score together.")] = 8,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Most pixels to score together; a larger image goes alone.")
    ] = 4_000_000,
    workers: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(
            min=0, help="Threads that decode images. Default: one per processor, at most 8.", show_default=False
        ),
    ] = None,
    image_column: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(help="Column of a Parquet table with the images. Default: found.", show_default=False),
    ] = None,
    key_column: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(help="Column with their keys. Default: the number of the row.", show_default=False),
    ] = None,
    fps: Annotated[
        Optional[float],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(help="Videos: frames a second to score. Default: 1.", show_default=False),
    ] = None,
    every: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(help="Videos: score every n-th frame.", show_default=False),
    ] = None,
    frames: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(help="Videos: number of frames to score, evenly in time.", show_default=False),
    ] = None,
    scenes: Annotated[bool, typer.Option("--scenes", help="With --frames: as many from each scene.")] = False,
    frames_output: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(
            help="Videos: folder for each frame's scores, summary and plot. Default: OUTPUT_frames beside --output.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[Engine, typer.Option(help="ray: on a cluster, or with several processes here.")] = Engine.local,
    actors: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(min=1, help="Processes of --engine ray. Default: as many as fit.", show_default=False),
    ] = None,
    cpus_per_actor: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(min=1, help="Processors of each. Default: 1.", show_default=False),
    ] = None,
    gpus_per_actor: Annotated[
        Optional[float],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(min=0, help="GPUs of each; 0.5 puts two on one. Default: none.", show_default=False),
    ] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first unreadable image.")] = False,
    backbone_checkpoint: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(help="CLIP weights from a file or folder instead of the Hub.", show_default=False),
    ] = None,
    checkpoint: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(
            help="A metric's own trained weights, file or folder: PATH, or with several metrics METRIC=PATH; repeat.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        Optional[Precision],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(help="int8: faster on a processor, scores shift a little.", show_default=False),
    ] = None,
    cache_dir: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(help="Folder of downloaded weights. Default: the Hugging Face cache.", show_default=False),
    ] = None,
) -> None:
    """Score images with one or several metrics.

    Unreadable images are reported and the others scored; the exit status is then 1. Large images are scored alone, at
    native size where the metric asks for it. Examples:

    - `perceptmetrics score --samples`

    - `perceptmetrics score photo.jpg -m clipiqa -m lite_iqa`

    - `perceptmetrics score photos/ --output scores.csv --resume`

    - `perceptmetrics score clip.mp4 --fps 2 --output clip.csv`

    - `perceptmetrics score 'shard-{0000..0099}.tar' --output scores.parquet --engine ray`
    """
    from perceptmetrics.apps.cli.score_run import Request, run
    from perceptmetrics.images.sources import ReadOptions
    from perceptmetrics.video import FrameSampling

    request = Request(
        paths=paths or [],
        metrics=metric or ["lite_iqa"],
        samples=samples,
        form=form.value if form else None,
        output=output,
        resume=resume,
        recursive=recursive,
        device=device,
        batch_size=batch_size,
        max_pixels=max_pixels,
        workers=workers,
        fail_fast=fail_fast,
        checkpoints=checkpoint or [],
        read_options=ReadOptions(image_column=image_column, key_column=key_column),
        actors=_actors(engine, actors, cpus_per_actor, gpus_per_actor),
        sampling=FrameSampling(fps=fps, every=every, frames=frames, scenes=scenes),
        frames_output=frames_output,
        create_options={
            "backbone_checkpoint": backbone_checkpoint,
            "precision": precision.value if precision else None,
            "cache_dir": cache_dir,
        },
    )
    try:
        status = run(request, messages)
    except KeyboardInterrupt:
        fail("Interrupted.", status=130)
    raise typer.Exit(status)


def _actors(engine: Engine, count: int | None, cpus: int | None, gpus: float | None) -> "Actors | None":
    """The workers of a cluster; None for this process."""
    from perceptmetrics.integrations.ray import Actors

    if engine is Engine.ray:
        return Actors(count=count, cpus=cpus or 1, gpus=gpus or 0.0)
    if (count, cpus, gpus) != (None, None, None):
        raise InvalidOptionError("--actors, --cpus-per-actor and --gpus-per-actor go with --engine ray.")
    return None
