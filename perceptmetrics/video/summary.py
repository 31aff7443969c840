"""Summarise the scores of frames over a video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["FrameScores", "VideoScores", "VideoSummary", "WorstSecond", "summarise"]


@dataclass(frozen=True, kw_only=True)
class FrameScores:
    """The scores of a frame.

    Attributes:
        number: Index of the frame in the video, from 0.
        time: Seconds since the beginning of the video.
        scores: Score by column; empty if the frame could not be scored.
        error: Why the frame could not be scored; None if it was scored.
    """

    number: int
    time: float
    scores: Mapping[str, float]
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class WorstSecond:
    """The second of a video with the worst mean score.

    Attributes:
        start: Start of the second, in whole seconds since the beginning.
        mean: Mean score of its frames.
    """

    start: float
    mean: float


@dataclass(frozen=True, kw_only=True)
class VideoSummary:
    """Summary of one score of a video.

    Attributes:
        mean: Mean over the scored frames.
        percentile_5: 5th percentile; if lower is better, the 95th percentile.
        worst_second: The worst of the seconds that contain scored frames.
    """

    mean: float
    percentile_5: float
    worst_second: WorstSecond


@dataclass(frozen=True, kw_only=True)
class VideoScores:
    """The scores of a video.

    Attributes:
        path: The file as given.
        columns: Names of the scores: the metric's name, or `metric.label`.
        frames: The sampled frames in order.
        summary: Summary by column.
        error: Where and how the video is corrupt, or why frames could not be scored; None if there was no problem.
    """

    path: str
    columns: tuple[str, ...]
    frames: tuple[FrameScores, ...]
    summary: Mapping[str, VideoSummary]
    error: str | None = None

    @property
    def means(self) -> dict[str, float]:
        """Mean score by column."""
        return {column: summary.mean for column, summary in self.summary.items()}


def summarise(times: list[float], scores: list[float], *, lower_better: bool = False) -> VideoSummary:
    """Summarise one score over time.

    Args:
        times: Times of the frames in seconds since the beginning, at least one.
        scores: Scores of the frames.
        lower_better: Whether a lower score is better.

    Returns:
        Mean, 5th percentile (linearly interpolated) and worst second.
    """
    values = np.asarray(scores, dtype=np.float64)
    seconds = np.floor(np.asarray(times) + 1e-6).astype(int)
    means = {int(second): float(values[seconds == second].mean()) for second in np.unique(seconds)}
    worst = (max if lower_better else min)(means, key=means.__getitem__)
    return VideoSummary(
        mean=float(values.mean()),
        percentile_5=float(np.percentile(values, 95 if lower_better else 5)),
        worst_second=WorstSecond(start=float(worst), mean=means[worst]),
    )
