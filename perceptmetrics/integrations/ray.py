"""Scoring on a cluster with Ray Data (https://docs.ray.io/en/latest/data/data.html): a pool of actors, one model each.

The work is split into parts (`find_parts`). Each actor scores one part at a time with `score_images`, so scores are
those of one process with as many threads. Rows come back in order, so the code that writes and resumes the files of
local runs works here too. If a worker dies, another one takes its part.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from perceptmetrics._util.warnings import quiet
from perceptmetrics.errors import ClusterError, InvalidOptionError, MissingExtraError, first_line
from perceptmetrics.factory.create import create_metric
from perceptmetrics.images.batch import DEFAULT_BATCH_SIZE, DEFAULT_MAX_PIXELS
from perceptmetrics.images.sources import Part, ReadOptions, read_part
from perceptmetrics.scoring.stream import score_columns, score_images

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from types import ModuleType

    from perceptmetrics.scoring.results import ScoredImage

__all__ = ["Actors", "ScoreColumn", "score_parts"]

MetricOptions = Mapping[str, Mapping[str, Any]]

_OBJECT_STORE_BYTES = 256 * 2**20
_LOCAL_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # report nothing to anyone unasked
    "RAY_worker_niceness": "0",  # or else all other processes on the machine have priority
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # or else its messages appear on the terminal as well
}


@dataclass(frozen=True, kw_only=True)
class Actors:
    """The workers of a run.

    Attributes:
        count: Number of actors; None for as many as fit in the cluster.
        cpus: CPUs of each, which is its number of threads for the model and also for decoding.
        gpus: GPUs of each; with 0.5 two share one, with 0 the CPU scores.

    Raises:
        InvalidOptionError: A number is out of range.
    """

    count: int | None = None
    cpus: int = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if (self.count is not None and self.count < 1) or self.cpus < 1 or self.gpus < 0:
            raise InvalidOptionError(
                "There must be at least 1 actor with at least 1 processor and 0 or more GPUs, "
                f"got count={self.count}, cpus={self.cpus}, gpus={self.gpus}."
            )


def score_parts(
    metrics: MetricOptions,
    parts: Sequence[Part],
    *,
    actors: Actors | None = None,
    options: ReadOptions | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    known: Mapping[str, ScoredImage] | None = None,
) -> Iterator[ScoredImage]:
    """Score parts on the connected cluster, or on the one that `RAY_ADDRESS` names, or else on this machine.

    Args:
        metrics: Names of metrics, each with the options of `create_metric`; every actor creates them once.
        parts: The work. Scores equal a local run's to the last digit if `part_size` of `find_parts` is a multiple of
            `window_size(batch_size)` and the local run has `actors.cpus` threads.
        actors: The workers.
        options: How to read files that hold many images.
        batch_size: See `score_images`.
        max_pixels: See `score_images`.
        known: See `score_images`; parts that are known completely are not handed out.

    Yields:
        One result per image, in the order of the parts.

    Raises:
        ClusterError: The cluster cannot be started, or a part fails repeatedly.
        MissingExtraError: Ray is not installed.
    """
    known, actors = known or {}, actors or Actors()
    ray = _import_ray()
    known_in = _known_by_container(known, parts)
    jobs = [
        _Job(part, options or ReadOptions(), frozenset(names))
        for part in parts
        if (names := _known_names(part, known, known_in)) is not None
    ]
    arguments = (dict(metrics), actors, batch_size, max_pixels)
    with _cluster(ray), contextlib.closing(_run(ray, jobs, actors, arguments)) as results:
        window = 0
        for part in parts:
            if _known_names(part, known, known_in) is None:
                yield from (known[file] for file in part.files)
                continue
            base, window = window + 1, window + 1
            for row in next(results):
                window = base + (row.window or 0)
                yield known[row.name] if row.name in known else replace(row, window=window)


class ScoreColumn:
    """Adds columns of scores to a Ray dataset: a class for `Dataset.map_batches`.

    Args:
        metrics: Names of metrics, each with the options of `create_metric`.
        column: Column of images: encoded bytes, paths, addresses, or arrays.
        threads: Threads of the model; None for Ray's default, the actor's number of CPUs.

    Examples:
        ```
        scored = ray.data.read_binary_files("s3://bucket/photos", include_paths=True).map_batches(
            ScoreColumn, fn_constructor_args=({"lite_iqa": {}},), batch_size=64, concurrency=8
        )
        ```
    """

    def __init__(self, metrics: MetricOptions, column: str = "bytes", threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._metrics = [create_metric(name, **options) for name, options in metrics.items()]
        self._column = column

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Add a column for each score, NaN where an image failed, and `error`, empty where none did."""
        rows = list(score_images(self._metrics, batch[self._column], workers=1))
        scores = {
            column: torch.tensor([row.scores.get(column, float("nan")) for row in rows]).numpy()
            for column in score_columns(self._metrics)
        }
        return {**batch, **scores, "error": [row.error or "" for row in rows]}


@dataclass(frozen=True)
class _Job:
    """A part of the work for an actor."""

    part: Part
    options: ReadOptions
    known: frozenset[str]


class _PartScorer:
    """Runs in an actor. Jobs and rows are pickled, because names of files need not be valid text."""

    def __init__(self, metrics: MetricOptions, actors: Actors, batch_size: int, max_pixels: int) -> None:
        torch.set_num_threads(actors.cpus)
        device = "cuda" if actors.gpus else "cpu"
        self._metrics = [create_metric(name, **{"device": device, **options}) for name, options in metrics.items()]
        self._limits = {"batch_size": batch_size, "max_pixels": max_pixels, "workers": actors.cpus}

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        from perceptmetrics.scoring.results import ScoredImage

        job: _Job = pickle.loads(batch["job"][0])  # noqa: S301 - written by `_run`
        images = read_part(job.part, job.options, job.known)
        placeholders = {name: ScoredImage(name) for name in job.known}
        rows = list(score_images(self._metrics, images, known=placeholders, **self._limits))
        return {"rows": [pickle.dumps(rows)]}


def _run(
    ray: ModuleType, jobs: list[_Job], actors: Actors, arguments: tuple[Any, ...]
) -> Generator[list[ScoredImage], None, None]:
    """Rows of each job, in order."""
    from ray.exceptions import RayError

    try:
        if not jobs:
            return
        count = _count(ray, actors, len(jobs))
        items = [{"job": pickle.dumps(job)} for job in jobs]
        dataset = ray.data.from_items(items, override_num_blocks=len(items))
        dataset.context.execution_options.preserve_order = True
        dataset.context.enable_progress_bars = False
        scored = dataset.map_batches(
            _PartScorer,
            fn_constructor_args=arguments,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=count),
            num_cpus=actors.cpus,
            num_gpus=actors.gpus or None,
        )  # Ray Data restarts dead actors and hands out their parts again by itself
        with contextlib.closing(iter(scored.iter_rows())) as rows:
            for row in rows:
                yield pickle.loads(row["rows"])  # noqa: S301 - written by `_PartScorer`
    except RayError as error:
        raise ClusterError(
            f"Ray could not finish: {_last_line(error)} Finished scores are kept; fix this and continue with --resume."
        ) from error


def _last_line(error: Exception) -> str:
    """The error raised in a worker; Ray puts the traceback before it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _count(ray: ModuleType, actors: Actors, jobs: int) -> int:
    """Number of actors: at most the number of jobs, and at most what the cluster can start."""
    resources = ray.cluster_resources()
    room = int(resources.get("CPU", 0) // actors.cpus)
    if actors.gpus:
        room = min(room, int(resources.get("GPU", 0) / actors.gpus))
    if room < 1:
        raise ClusterError(
            f"No actor with {actors.cpus} processors and {actors.gpus:g} GPUs fits in the cluster, which has "
            f"{resources.get('CPU', 0):g} processors and {resources.get('GPU', 0):g} GPUs."
        )
    return min(actors.count or room, room, jobs)


def _known_by_container(known: Mapping[str, ScoredImage], parts: Sequence[Part]) -> dict[str, set[str]]:
    """Known names by the container that holds them."""
    found: dict[str, set[str]] = {part.container: set() for part in parts if part.container is not None}
    if found:
        for name in known:
            end = name.find("/")
            while end != -1:
                if name[:end] in found:
                    found[name[:end]].add(name)
                end = name.find("/", end + 1)
    return found


def _known_names(part: Part, known: Mapping[str, ScoredImage], known_in: Mapping[str, set[str]]) -> set[str] | None:
    """The known images of a part; None if all are known. What a container holds is not known before it is read."""
    if part.container is not None:
        return known_in[part.container]
    names = {file for file in part.files if file in known}
    return None if len(names) == len(set(part.files)) else names


def _import_ray() -> ModuleType:
    try:
        with quiet():  # of Ray's own deprecations
            import ray
            import ray.data

            ray.data.DataContext.get_current()
    except ImportError as error:
        raise MissingExtraError("The engine 'ray'", "ray") from error
    return ray


@contextlib.contextmanager
def _cluster(ray: ModuleType) -> Iterator[None]:
    """Use the cluster that this process is connected to; otherwise connect, and disconnect at the end."""
    if ray.is_initialized():
        yield
        return
    with _settings():
        yield from _own_cluster(ray)


@contextlib.contextmanager
def _settings() -> Iterator[None]:
    """Settings of a cluster of our own: variables that the user has not set, and a quiet log; afterwards as before."""
    added = {name: value for name, value in _LOCAL_SETTINGS.items() if name not in os.environ}
    os.environ.update(added)
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name in added:
            os.environ.pop(name, None)


def _own_cluster(ray: ModuleType) -> Iterator[None]:
    """Connect to a cluster, or start one on this machine; disconnect at the end."""
    local = {"address": "local", "include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **({} if os.environ.get("RAY_ADDRESS") else local))
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise ClusterError(f"Ray cannot be started or connected to: {first_line(error)}.") from error
    try:
        yield
    finally:
        ray.shutdown()
