"""Which frames are chosen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.video import FrameSampling, scene_starts
from perceptmetrics.video.sampling import frame_selector, spread_over_scenes, spread_over_time
from perceptmetrics.video.scenes import histogram_distance
from tests.video.clips import noise, write

TIMES = st.lists(st.floats(0, 1000), min_size=1, max_size=60, unique=True).map(sorted)


@given(TIMES, st.floats(0.05, 50))
@settings(deadline=None)
def test_a_rate_takes_the_first_frame_of_each_interval(times, rate):
    decide = frame_selector(FrameSampling(fps=rate))
    taken = [time for number, time in enumerate(times) if decide(number, time)]
    intervals = [int((time - times[0]) * rate + 1e-6) for time in times]
    assert taken == [time for index, time in enumerate(times) if intervals[index] not in intervals[:index]]


def test_every_nth_frame_goes_by_number():
    decide = frame_selector(FrameSampling(every=3))
    assert [number for number in range(10) if decide(number, 0.0)] == [0, 3, 6, 9]


@given(TIMES, st.integers(1, 80))
@settings(deadline=None)
def test_frames_over_time_are_as_many_as_asked_for_or_as_there_are(times, count):
    chosen = spread_over_time(times, count)
    assert len(chosen) == min(count, len(times))
    assert chosen == sorted(set(chosen))
    assert not chosen or 0 <= chosen[0] <= chosen[-1] < len(times)


def test_frames_over_time_are_spread_by_time_and_not_by_number():
    times = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 5, 10]
    assert spread_over_time(times, 2) == [5, 6]  # 2.5 and 7.5 s
    assert spread_over_time([0, 1, 2, 3, 4, 5, 6, 7, 8], 3) == [1, 4, 7]


def test_scenes_get_equal_numbers_of_frames_and_long_ones_take_the_rest():
    times = list(range(20))
    chosen = spread_over_scenes(times, [0, 2, 12], 8)  # scenes of 2, 10 and 8 frames
    assert [sum(start <= index < end for index in chosen) for start, end in ((0, 2), (2, 12), (12, 20))] == [2, 3, 3]
    assert spread_over_scenes(times, [0, 2, 12], 1) == [6]  # the middle of the middle scene


def test_cuts_are_found_and_motion_is_none(tmp_path):
    rolled = [np.roll(noise(1, seed=1)[0], 3 * step, axis=1) for step in range(10)]
    dark = [frame // 4 for frame in rolled]
    bright = [255 - frame // 4 for frame in rolled]
    path = write(tmp_path / "clip.mkv", rolled + dark[:5] + bright)
    assert scene_starts(path) == pytest.approx([0, 1.0, 1.5])


def test_the_distance_of_histograms_is_the_fraction_of_pixels_that_moved():
    before, after = np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10, 3), np.uint8)
    after[:3] = 255
    assert histogram_distance(before, after) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 1.0, "every": 2}, "got fps and every"),
        ({"fps": 0.0}, "fps must be positive"),
        ({"frames": -1}, "frames must be positive"),
        ({"scenes": True}, "scenes needs frames"),
    ],
)
def test_contradictions_are_refused(options, message):
    with pytest.raises(InvalidOptionError, match=message):
        FrameSampling(**options)
