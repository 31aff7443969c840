"""Score a video."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.batch import DEFAULT_BATCH_SIZE, DEFAULT_MAX_PIXELS
from perceptmetrics.images.sources import NamedImage
from perceptmetrics.models.metric import Metric
from perceptmetrics.scoring.stream import score_columns, score_images
from perceptmetrics.video.reading import frame_times, read_frames
from perceptmetrics.video.sampling import FrameSampling, frame_selector, spread_over_scenes, spread_over_time
from perceptmetrics.video.scenes import scene_starts
from perceptmetrics.video.summary import FrameScores, VideoScores, summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["score_video"]

_SAME_TIME = 1e-4  # seconds


def score_video(
    metrics: Metric | Sequence[Metric],
    path: str | os.PathLike[str],
    *,
    sampling: FrameSampling | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> VideoScores:
    """Score the frames of a video in memory that does not grow with its length.

    Args:
        metrics: One metric or several; encoders that they share run once.
        path: The file.
        sampling: Which frames to score; None for one per second.
        batch_size: Largest number of frames in a forward pass.
        max_pixels: Largest number of pixels in a forward pass; a larger frame is scored alone.

    Returns:
        The scores of the sampled frames and their summary. If the video is corrupt, these are the frames before the
        defect, and `error` says what is wrong.

    Raises:
        InvalidImageError: The file cannot be opened, or no frame could be scored.
        MissingExtraError: PyAV is not installed.
    """
    metrics = [metrics] if isinstance(metrics, Metric) else list(metrics)
    columns = score_columns(metrics)
    frames = _Frames(path, _wanted(path, sampling or FrameSampling()))
    scored: list[FrameScores] = []
    # The frames are decoded already, by FFmpeg's own threads.
    for row in score_images(metrics, frames, batch_size=batch_size, max_pixels=max_pixels, workers=0):
        number, time = frames.pending.pop(row.name)
        scored.append(FrameScores(number=number, time=time, scores=row.scores, error=row.error))
    good = [frame for frame in scored if frame.error is None]
    error = frames.error or next((frame.error for frame in scored if frame.error is not None), None)
    if not good:
        raise InvalidImageError(error or f"No frame of {os.fspath(path)} was sampled.")
    directions = [metric.lower_better for metric in metrics for _ in metric.labels or ("",)]
    times = [frame.time for frame in good]
    return VideoScores(
        path=os.fspath(path),
        columns=tuple(columns),
        frames=tuple(scored),
        summary={
            column: summarise(times, [frame.scores[column] for frame in good], lower_better=lower)
            for column, lower in zip(columns, directions, strict=True)
        },
        error=error,
    )


class _Frames:
    """The wanted frames as a stream of images that records the defect which ends it.

    Args:
        path: The file.
        wanted: Tells from the number and time of a frame whether it is wanted.

    Attributes:
        pending: Number and time of the frames that are not scored yet, by name.
        error: What is wrong with the video; None if nothing is.
    """

    def __init__(self, path: str | os.PathLike[str], wanted: Callable[[int, float], bool]) -> None:
        self._path, self._wanted = path, wanted
        self.pending: dict[str, tuple[int, float]] = {}
        self.error: str | None = None

    def __iter__(self) -> Iterator[NamedImage]:
        try:
            for frame in read_frames(self._path, self._wanted):
                name = f"{os.fspath(self._path)} at {frame.time:.3f} s (frame {frame.number})"
                self.pending[name] = (frame.number, frame.time)
                yield NamedImage(name, frame.pixels, os.fspath(self._path))
        except InvalidImageError as error:
            self.error = str(error)


def _wanted(path: str | os.PathLike[str], sampling: FrameSampling) -> Callable[[int, float], bool]:
    if sampling.frames is None:
        return frame_selector(sampling)
    times = frame_times(path)
    if sampling.scenes:
        starts = [_first_at(times, start) for start in scene_starts(path)]
        chosen = spread_over_scenes(times, sorted(set(starts)), sampling.frames)
    else:
        chosen = spread_over_time(times, sampling.frames)
    pending = [times[index] for index in chosen]

    def is_due(_: int, time: float) -> bool:
        due = bool(pending) and time >= pending[0] - _SAME_TIME
        while pending and time >= pending[0] - _SAME_TIME:
            pending.pop(0)
        return due

    return is_due


def _first_at(times: list[float], start: float) -> int:
    return next(index for index, time in enumerate(times) if time >= start - _SAME_TIME)
