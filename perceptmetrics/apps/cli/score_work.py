"""What `score` scores: images, in this process or on a cluster, then videos. Imported when the command runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from perceptmetrics._util.atomic import write_whole
from perceptmetrics._util.text import printable
from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.find import find_images, is_file_pattern
from perceptmetrics.images.selection import image_suffixes
from perceptmetrics.images.sources import NamedImage, Part, ReadOptions, read_part
from perceptmetrics.integrations.ray import Actors, score_parts
from perceptmetrics.models.metric import Metric
from perceptmetrics.scoring.origin import check_scores, origin_of
from perceptmetrics.scoring.results import ScoredImage, csv_bytes
from perceptmetrics.scoring.stream import score_images
from perceptmetrics.video import FrameSampling, VideoScores, is_video, score_video

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Work", "split_videos"]

_COMPARED = 4
_SEARCHED = 64  # images at the beginning of an archive or a table


@dataclass(frozen=True, kw_only=True)
class Work:
    """Images and videos to score.

    Attributes:
        metrics: The metrics to score with.
        keywords: Keywords with which the processes of a cluster create the metrics, by name.
        parts: The images.
        read_options: How tables of images are read.
        actors: The processes of a cluster; None to score in this process.
        batch_size: Maximum number of images per batch.
        max_pixels: Maximum number of pixels per batch.
        workers: Decoding threads; None for one per CPU core.
        videos: Files of videos.
        sampling: Which frames of videos are scored.
        frames_folder: Folder for the scores of frames and for plots; None to write none.
        rows_at_once: How many rows are written together: an image is too dear to be scored again.
    """

    rows_at_once: ClassVar[int] = 1

    metrics: Sequence[Metric]
    keywords: Mapping[str, Mapping[str, Any]]
    parts: Sequence[Part]
    read_options: ReadOptions
    actors: Actors | None
    batch_size: int
    max_pixels: int
    workers: int | None
    videos: Sequence[str]
    sampling: FrameSampling
    frames_folder: Path | None

    @property
    def count(self) -> int | None:
        """Number of images and videos; None if it is not known in advance."""
        if any(part.container is not None for part in self.parts):
            return None
        return len(self.videos) + sum(len(part.files) for part in self.parts)

    def origin(self) -> dict[str, str]:
        """What the scores are computed with, for `ResultsFile`."""
        options = {f"the precision of {name}": str(own.get("precision")) for name, own in self.keywords.items()}
        options["the colour profiles"] = str(next(iter(self.keywords.values()))["icc"])
        if self.videos:
            options["the choice of frames"] = repr(self.sampling)
        if any(part.container is not None for part in self.parts):
            read = self.read_options
            options["the columns of tables"] = f"{read.image_column}, {read.key_column}, {read.prompt_column}"
        return origin_of(self.metrics, options)

    def names(self) -> list[str]:
        """Names of images and videos, as far as they are known in advance, each once."""
        return list(dict.fromkeys([*(file for part in self.parts for file in part.files), *self.videos]))

    def some_of(self, names: Collection[str]) -> list[NamedImage]:
        """A few of the images with some names: from the first parts that hold any, or files that still exist."""
        found: list[NamedImage] = []
        for part in self.parts:
            if part.container is None:
                found += [NamedImage(file, file) for file in part.files if file in names]
            else:
                opened = islice(read_part(part, self.read_options), _SEARCHED)
                found += [image for image in opened if image.name in names]
            if found or part.container is not None:
                break
        if not found:
            found = [NamedImage(name, name) for name in islice(names, _SEARCHED) if _is_image(name)]
        return found[:_COMPARED]

    def check(self, output: Path, done: Mapping[str, ScoredImage]) -> None:
        """Refuse to continue a file that does not say what it was made with, if its scores are others."""
        check_scores(output, done, self.metrics, self.some_of(done))

    def rows(self, known: Mapping[str, ScoredImage]) -> Iterator[ScoredImage]:
        """Score everything in order; rows that are known already are not scored again."""
        yield from self._images(known)
        for path, name in zip(self.videos, _file_names(self.videos), strict=True):
            yield known[path] if path in known else self._video(path, name)

    def _images(self, known: Mapping[str, ScoredImage]) -> Iterator[ScoredImage]:
        if self.actors:
            return score_parts(
                self.keywords,
                self.parts,
                actors=self.actors,
                options=self.read_options,
                known=known,
                batch_size=self.batch_size,
                max_pixels=self.max_pixels,
            )
        return score_images(
            self.metrics,
            (image for part in self.parts for image in read_part(part, self.read_options, known)),
            batch_size=self.batch_size,
            max_pixels=self.max_pixels,
            workers=self.workers,
            known=known,
        )

    def _video(self, path: str, name: str) -> ScoredImage:
        try:
            scored = score_video(
                self.metrics, path, sampling=self.sampling, batch_size=self.batch_size, max_pixels=self.max_pixels
            )
        except InvalidImageError as error:
            return ScoredImage(path, error=str(error))
        if self.frames_folder is not None:
            _write_frames(scored, self.frames_folder / name)
        return ScoredImage(path, scores=scored.means, error=scored.error)


def _is_image(name: str) -> bool:
    """Whether a name is the path of an image file that exists."""
    with suppress(OSError, ValueError):
        return name.lower().endswith(tuple(image_suffixes())) and Path(name).is_file()
    return False


def split_videos(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate videos (files, and patterns with the suffix of a video) from everything else.

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
    """A unique name for each video: its stem, with a number if another video has the same."""
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
