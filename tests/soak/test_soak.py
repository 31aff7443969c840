"""Many images through the command: all accounted for, in flat memory, and stops leave no trace in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.images import broken_files
from tests.soak.soak import soak


@pytest.mark.parametrize(
    ("images", "one_broken_in", "stops", "growth"),
    [
        pytest.param(300, 12, 2, 200, id="short"),  # most of it is warming up
        pytest.param(20_000, 100, 6, 24, id="long", marks=pytest.mark.slow),
    ],
)
def test_nothing_is_lost_or_changed_by_stops_and_memory_is_flat(
    tmp_path: Path, images: int, one_broken_in: int, stops: int, growth: int
) -> None:
    report = soak(tmp_path, images, stops, seed=images, one_broken_in=one_broken_in)
    assert (report.scored, report.failed) == (report.given - report.broken, report.broken)
    assert report.scored + report.failed == report.given == images
    assert report.broken >= len(broken_files())
    assert len(report.stops) == stops
    assert report.same_file
    assert report.peak(0.8, 1.0) <= report.peak(0.1, 0.5) + growth  # rows come a window at a time
