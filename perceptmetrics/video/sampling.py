"""Which frames of a video are scored. Everything goes by time stamps, so variable frame rates need no care."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["FrameSampling", "spread_over_scenes", "spread_over_time", "taken_as_they_come"]

DEFAULT_FPS = 1.0


@dataclass(frozen=True, kw_only=True)
class FrameSampling:
    """Which frames are scored; at most one of the first three is given, and without any it is one frame a second.

    Attributes:
        fps: Frames a second: of each interval of `1 / fps` seconds, the first frame.
        every: Every n-th frame, from the first.
        frames: Number of frames over the whole video, evenly in time. A shorter video gives all of its frames.
        scenes: With `frames`: as many from each scene, however long it lasts; see `scenes.scene_starts`.

    Raises:
        InvalidOptionError: A number is not positive, or they contradict each other.
    """

    fps: float | None = None
    every: int | None = None
    frames: int | None = None
    scenes: bool = False

    def __post_init__(self) -> None:
        given = {"fps": self.fps, "every": self.every, "frames": self.frames}
        stated = {name: value for name, value in given.items() if value is not None}
        if len(stated) > 1:
            raise InvalidOptionError(f"Frames are sampled in one way; got {' and '.join(stated)}.")
        for name, value in stated.items():
            if not 0 < value < float("inf"):
                raise InvalidOptionError(f"{name} must be positive, got {value!r}.")
        if self.scenes and self.frames is None:
            raise InvalidOptionError("scenes goes with frames: the number of frames to share between the scenes.")


def taken_as_they_come(sampling: FrameSampling) -> Callable[[int, float], bool]:
    """Decide for one frame after the other, of `fps` or `every`.

    Args:
        sampling: Which frames.

    Returns:
        From a frame's number and its time in seconds to whether it is scored.
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
        interval = int((time - first) * rate + 1e-6)  # time stamps are rounded
        if interval <= last_interval:
            return False
        last_interval = interval
        return True

    return is_first_of_its_interval


def spread_over_time(times: Sequence[float], count: int) -> list[int]:
    """Choose frames evenly in time.

    Args:
        times: Time of each frame, ascending.
        count: Number of frames wanted.

    Returns:
        Places in `times`, ascending: those nearest to the middles of `count` equal intervals, each once.
    """
    if count >= len(times):
        return list(range(len(times)))
    step = (times[-1] - times[0]) / count
    chosen: list[int] = []
    for number in range(count):
        place = _nearest(times, times[0] + (number + 0.5) * step)
        least = chosen[-1] + 1 if chosen else 0
        most = len(times) - (count - number)  # so that those to come find a place
        chosen.append(min(max(place, least), most))
    return chosen


def spread_over_scenes(times: Sequence[float], starts: Sequence[int], count: int) -> list[int]:
    """Choose as many frames from each scene, evenly in time within it.

    Args:
        times: Time of each frame, ascending.
        starts: Places in `times` at which scenes begin, ascending, the first 0.
        count: Number of frames wanted. Of more scenes than that, `count` are chosen evenly.

    Returns:
        Places in `times`, ascending.
    """
    scenes = list(zip(starts, [*starts[1:], len(times)], strict=True))
    if count < len(scenes):
        scenes = [scenes[int((number + 0.5) * len(scenes) / count)] for number in range(count)]
    shares = _shares([end - start for start, end in scenes], count)
    return [
        start + place
        for (start, end), share in zip(scenes, shares, strict=True)
        for place in spread_over_time(times[start:end], share)
    ]


def _shares(lengths: Sequence[int], count: int) -> list[int]:
    """Divide a number as equally as the lengths allow; what is left over goes to the longest."""
    shares = [0] * len(lengths)
    left = min(count, sum(lengths))
    while left:
        open_places = [place for place, length in enumerate(lengths) if shares[place] < length]
        if left < len(open_places):
            open_places = sorted(open_places, key=lambda place: -lengths[place])[:left]
        for place in open_places:
            shares[place] += 1
        left -= len(open_places)
    return shares


def _nearest(times: Sequence[float], wanted: float) -> int:
    after = bisect.bisect_left(times, wanted)
    if after == 0 or after == len(times):
        return min(after, len(times) - 1)
    return after if times[after] - wanted < wanted - times[after - 1] else after - 1
