"""Choose the frames of a video to score, by timestamps, so that variable frame rates need no special care."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["FrameSampling", "frame_selector", "spread_over_scenes", "spread_over_time"]

DEFAULT_FPS = 1.0


@dataclass(frozen=True, kw_only=True)
class FrameSampling:
    """Which frames to score: at most one of `fps`, `every` and `frames`; without any, one frame per second.

    Attributes:
        fps: Frames per second: the first frame of each interval of `1 / fps` seconds.
        every: Every n-th frame, starting with the first.
        frames: Number of frames over the whole video, evenly spaced in time; all frames if the video has fewer.
        scenes: With `frames`: the same number from each scene, however long it lasts; see `scenes.scene_starts`.

    Raises:
        InvalidOptionError: A number is not positive, or the options contradict each other.
    """

    fps: float | None = None
    every: int | None = None
    frames: int | None = None
    scenes: bool = False

    def __post_init__(self) -> None:
        given = {"fps": self.fps, "every": self.every, "frames": self.frames}
        stated = {name: value for name, value in given.items() if value is not None}
        if len(stated) > 1:
            raise InvalidOptionError(f"Choose one way of sampling frames; got {' and '.join(stated)}.")
        for name, value in stated.items():
            if not 0 < value < float("inf"):
                raise InvalidOptionError(f"{name} must be positive, got {value!r}.")
        if self.scenes and self.frames is None:
            raise InvalidOptionError("scenes needs frames: the number of frames to divide among the scenes.")


def frame_selector(sampling: FrameSampling) -> Callable[[int, float], bool]:
    """Select frames one by one, by `fps` or `every`.

    Args:
        sampling: Which frames to score.

    Returns:
        A function from the number of a frame and its time in seconds to whether it is scored.
    """
    if sampling.every is not None:
        every = sampling.every
        return lambda number, _: number % every == 0
    rate = sampling.fps or DEFAULT_FPS
    first: float | None = None
    last_interval = -1

    def is_first_of_its_interval(_: int, time: float) -> bool:
        nonlocal first, last_interval
        first = time if first is None else first
        interval = int((time - first) * rate + 1e-6)  # timestamps are rounded
        if interval <= last_interval:
            return False
        last_interval = interval
        return True

    return is_first_of_its_interval


def spread_over_time(times: Sequence[float], count: int) -> list[int]:
    """Choose frames evenly spaced in time.

    Args:
        times: Time of each frame, ascending.
        count: Number of frames to choose.

    Returns:
        Indices into `times`, ascending and distinct: the nearest to the midpoints of `count` equal intervals.
    """
    if count >= len(times):
        return list(range(len(times)))
    step = (times[-1] - times[0]) / count
    chosen: list[int] = []
    for number in range(count):
        nearest = _nearest(times, times[0] + (number + 0.5) * step)
        least = chosen[-1] + 1 if chosen else 0
        most = len(times) - (count - number)  # leaves enough frames for the remaining choices
        chosen.append(min(max(nearest, least), most))
    return chosen


def spread_over_scenes(times: Sequence[float], starts: Sequence[int], count: int) -> list[int]:
    """Choose the same number of frames from each scene, evenly spaced in time within it.

    Args:
        times: Time of each frame, ascending.
        starts: Indices into `times` at which scenes begin, ascending, the first 0.
        count: Number of frames to choose. If there are more scenes, `count` of them are chosen evenly.

    Returns:
        Indices into `times`, ascending.
    """
    scenes = list(zip(starts, [*starts[1:], len(times)], strict=True))
    if count < len(scenes):
        scenes = [scenes[int((number + 0.5) * len(scenes) / count)] for number in range(count)]
    counts = _divide([end - start for start, end in scenes], count)
    return [
        start + index
        for (start, end), own in zip(scenes, counts, strict=True)
        for index in spread_over_time(times[start:end], own)
    ]


def _divide(lengths: Sequence[int], count: int) -> list[int]:
    """Divide `count` as equally as the lengths allow; the remainder goes to the longest."""
    counts = [0] * len(lengths)
    left = min(count, sum(lengths))
    while left:
        unfilled = [index for index, length in enumerate(lengths) if counts[index] < length]
        if left < len(unfilled):
            unfilled = sorted(unfilled, key=lambda index: -lengths[index])[:left]
        for index in unfilled:
            counts[index] += 1
        left -= len(unfilled)
    return counts


def _nearest(times: Sequence[float], wanted: float) -> int:
    after = bisect.bisect_left(times, wanted)
    if after == 0 or after == len(times):
        return min(after, len(times) - 1)
    return after if times[after] - wanted < wanted - times[after - 1] else after - 1
