"""`score` with videos: a row for each in the results, its frames and a plot beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics._util.atomic import write_whole
from perceptmetrics._util.text import printable
from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.find import find_images, is_file_pattern
from perceptmetrics.scoring.results import ScoredImage, csv_bytes
from perceptmetrics.video import FrameSampling, VideoScores, is_video, score_video

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perceptmetrics.models.metric import Metric

__all__ = ["VideoRequest", "divide"]


@dataclass(frozen=True, kw_only=True)
class VideoRequest:
    """Videos to score.

    Attributes:
        paths: The files.
        sampling: Which frames.
        frames_folder: Folder for the scores of the frames and for plots; None to write none.
        batch_size: Most frames that go through an encoder together.
        max_pixels: Most pixels that go through it together.
    """

    paths: Sequence[str]
    sampling: FrameSampling
    frames_folder: Path | None
    batch_size: int
    max_pixels: int

    def score(self, metrics: Sequence[Metric], known: Mapping[str, ScoredImage]) -> Iterator[ScoredImage]:
        """Score all; rows that are known are given again."""
        names = _file_names(self.paths)
        for path, name in zip(self.paths, names, strict=True):
            yield known[path] if path in known else self._score(metrics, path, name)

    def _score(self, metrics: Sequence[Metric], path: str, name: str) -> ScoredImage:
        try:
            scored = score_video(
                metrics, path, sampling=self.sampling, batch_size=self.batch_size, max_pixels=self.max_pixels
            )
        except InvalidImageError as error:
            return ScoredImage(path, error=str(error))
        if self.frames_folder is not None:
            _write_frames(scored, self.frames_folder / name)
        return ScoredImage(path, scores=scored.means, error=scored.error)


def divide(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell videos (files, and patterns that end in their suffix) from all else.

    Returns:
        Videos, each once, and the other paths.
    """
    videos: list[str] = []
    others: list[str] = []
    for path in paths:
        if not is_video(path) or Path(path).is_dir():
            others.append(path)
        elif is_file_pattern(path):
            videos += map(str, find_images([path]))
        else:
            videos.append(path)
    return list(dict.fromkeys(videos)), others


def _file_names(paths: Sequence[str]) -> list[str]:
    """A name for each video: its own without suffix, with a number where another is called so."""
    names: list[str] = []
    for path in paths:
        stem = Path(path).stem
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}-{number}", number + 1
        names.append(name)
    return names


def _write_frames(scored: VideoScores, stem: Path) -> None:
    """Write the frames as CSV, and their plot."""
    from perceptmetrics.reports.plots import TimelinePanel, draw_timeline, figure_bytes

    nothing = float("nan")
    rows = (
        [frame.number, frame.time, *(frame.scores.get(column, nothing) for column in scored.columns), frame.error or ""]
        for frame in scored.frames
    )
    write_whole(Path(f"{stem}.csv"), csv_bytes(["frame", "seconds", *scored.columns, "error"], rows))
    good = [frame for frame in scored.frames if frame.error is None]
    panels = [
        TimelinePanel(
            score_name=column,
            times=[frame.time for frame in good],
            scores=[frame.scores[column] for frame in good],
            mean=summary.mean,
            percentile_5=summary.percentile_5,
            worst_start=summary.worst_second.start,
        )
        for column, summary in scored.summary.items()
    ]
    write_whole(Path(f"{stem}.png"), figure_bytes(draw_timeline(panels, printable(Path(scored.path).name)), "png"))
    write_whole(Path(f"{stem}.summary.csv"), _summary(scored))


def _summary(scored: VideoScores) -> bytes:
    header = ["score", "mean", "percentile_5", "worst_second_start", "worst_second_mean", "frames", "error"]
    rows = (
        [
            column,
            summary.mean,
            summary.percentile_5,
            summary.worst_second.start,
            summary.worst_second.mean,
            len(scored.frames),
            scored.error or "",
        ]
        for column, summary in scored.summary.items()
    )
    return csv_bytes(header, rows)
