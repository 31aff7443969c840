"""Blocks with a seed draw the same numbers wherever they run, and leave no trace."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from perceptmetrics._util.seeding import seeded


def draw(barrier: threading.Barrier | None = None) -> list[float]:
    if barrier is not None:
        barrier.wait()
    with seeded(0):
        return [float(torch.rand(200).sum()) for _ in range(500)]


@pytest.fixture
def busy_threads() -> Iterator[None]:
    """Threads that take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("busy_threads")
def test_threads_draw_the_numbers_that_one_alone_draws() -> None:
    alone, barrier = draw(), threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(draw, [barrier] * 4)) == [alone] * 4


def test_the_callers_random_state_is_untouched_and_blocks_may_be_nested() -> None:
    before = torch.get_rng_state()
    with seeded(1):
        draw()
    assert torch.equal(torch.get_rng_state(), before)
