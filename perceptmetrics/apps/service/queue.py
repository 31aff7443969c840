"""The scoring queue: one thread owns the models and scores waiting images in batches.

Requests submit decoded images and receive futures. Images that wait at the same time for the same metrics share a
batch, as far as their sizes and the batch size allow.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.factory.suite import MetricSuite
from perceptmetrics.images.batch import batches_by_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.models.metric import Metric

__all__ = ["Scores", "ScoringQueue"]

Scores: TypeAlias = "dict[str, float | dict[str, float]]"
"""Scores of an image by metric, and by label for metrics with labels."""

_SUITES = 32
_WARM_UP_SIDE = 64
_WARM_UP_PROMPT = "grey"


@dataclass(eq=False)
class _Job:
    pixels: Tensor
    names: tuple[str, ...]
    prompt: str
    answer: Future[Scores]

    def release_if_cancelled(self, answer: Future[Scores]) -> None:
        """Free the pixels: the job itself stays in the queue until its turn."""
        if answer.cancelled():
            del self.pixels


class ScoringQueue:
    """Scores images submitted by many threads.

    Args:
        metrics: The metrics, each name once.
        batch_size: Maximum number of images (of equal size) per batch; None for 1 on the CPU and 8 elsewhere.
        batch_pixels: Maximum number of pixels per batch; a larger image is scored alone.
        max_wait: How long an image may wait for others to share its batch, in seconds.

    Attributes:
        names: Names of the metrics, in order.
        prompted: Those of them that compare each image with its prompt.

    Raises:
        InvalidOptionError: There is no metric, a name occurs twice, or the metrics are on several devices.
    """

    def __init__(
        self,
        metrics: Sequence[Metric],
        *,
        batch_size: int | None = None,
        batch_pixels: int = 4_000_000,
        max_wait: float = 0.005,
    ) -> None:
        suite = MetricSuite(metrics)
        self.names = tuple(metric.metric_name for metric in metrics)
        self.prompted = frozenset(metric.metric_name for metric in metrics if metric.reads_prompts)
        self._metrics = {metric.metric_name: metric for metric in metrics}
        self._batch_size = batch_size or (1 if suite.device.type == "cpu" else 8)
        self._batch_pixels = batch_pixels
        self._max_wait = max_wait
        self._suites = OrderedDict({self.names: suite})
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._warm = threading.Event()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="perceptmetrics-score", daemon=True)

    @property
    def is_warm(self) -> bool:
        """Whether every metric has scored a first image, and the thread is alive."""
        return self._warm.is_set() and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread, which warms up the models first."""
        self._thread.start()

    def submit(self, pixels: Tensor, names: Sequence[str], prompt: str = "") -> Future[Scores]:
        """Submit an image.

        Args:
            pixels: Shape (3, H, W), as `images.load.load_pixels` returns it.
            names: Metrics to score with.
            prompt: Its prompt, for metrics that compare them.

        Returns:
            A future of the scores; its exception is an `InvalidImageError` if a metric refuses the image, and an
            `InvalidOptionError` if it refuses the prompt. Cancel it when nobody waits for it any more.

        Raises:
            InvalidOptionError: The queue does not have one of the metrics, or it is closed.
        """
        unknown = [name for name in names if name not in self._metrics]
        if unknown or not names:
            raise InvalidOptionError(f"Expected some of the metrics {', '.join(self.names)}, got {list(names)}.")
        chosen = tuple(name for name in self.names if name in names)
        job = _Job(pixels, chosen, prompt, Future())
        job.answer.add_done_callback(job.release_if_cancelled)
        with self._closing:
            if self._closed:
                raise InvalidOptionError("The queue is closed; submit images before close().")
            self._jobs.put(job)
        return job.answer

    def close(self) -> None:
        """Score the waiting images, then stop."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        self._warm_up()
        ends = False
        while not ends:
            jobs, ends = self._collect()
            by_metrics: dict[tuple[str, ...], list[_Job]] = {}
            for job in jobs:
                if job.answer.set_running_or_notify_cancel():
                    by_metrics.setdefault(job.names, []).append(job)
            for names, together in by_metrics.items():
                self._score(names, together)

    def _warm_up(self) -> None:
        grey = torch.full((3, _WARM_UP_SIDE, _WARM_UP_SIDE), 0.5)
        job = _Job(grey, self.names, _WARM_UP_PROMPT, Future())
        self._score(self.names, [job])
        self._warm.set()

    def _collect(self) -> tuple[list[_Job], bool]:
        """Wait for an image and those that follow within `max_wait`; also whether the queue has been closed."""
        jobs: list[_Job] = []
        deadline = 0.0
        while len(jobs) < self._batch_size:
            try:
                job = self._jobs.get(timeout=max(0.0, deadline - time.monotonic()) if jobs else None)
            except queue.Empty:
                break
            if job is None:
                return jobs, True
            deadline = deadline or time.monotonic() + self._max_wait
            jobs.append(job)
        return jobs, False

    def _score(self, names: tuple[str, ...], jobs: list[_Job]) -> None:
        numbered = enumerate(job.pixels for job in jobs)
        for batch in batches_by_size(numbered, batch_size=self._batch_size, max_pixels=self._batch_pixels):
            self._answer(names, [jobs[index] for index in batch.indices], batch.images)

    def _answer(self, names: tuple[str, ...], jobs: list[_Job], images: Tensor) -> None:
        try:
            suite = self._suite(names)
            prompts = [job.prompt for job in jobs] if suite.reads_prompts else None
            scored = _rows(suite.to_output(suite.score_batch(images, prompts)), self._metrics)
        except Exception as error:  # noqa: BLE001 - passed to the request; the others go on
            if len(jobs) == 1:
                jobs[0].answer.set_exception(error)
            else:
                for job, image in zip(jobs, images, strict=True):  # so that one prompt does not fail other requests
                    self._answer(names, [job], image[None])
        else:
            for job, scores in zip(jobs, scored, strict=True):
                job.answer.set_result(scores)

    def _suite(self, names: tuple[str, ...]) -> MetricSuite:
        if names not in self._suites:
            self._suites[names] = MetricSuite([self._metrics[name] for name in names])
            if len(self._suites) > _SUITES:
                self._suites.popitem(last=False)
        self._suites.move_to_end(names)
        return self._suites[names]


def _rows(presented: dict[str, Tensor], metrics: dict[str, Metric]) -> list[Scores]:
    """Turn scores by metric, shape (N,) or (N, K), into N answers."""
    columns: dict[str, list[float | dict[str, float]]] = {}
    for name, scores in presented.items():
        labels, values = metrics[name].labels, scores.tolist()
        columns[name] = [dict(zip(labels, row, strict=True)) for row in values] if labels else values
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
