"""Blocks with a seed draw the same numbers wherever they run, and leave no trace."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import timm
import torch
from torch import nn

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


@pytest.mark.usefixtures("busy_threads")
def test_what_others_draw_meanwhile_changes_nothing_on_either_side() -> None:
    torch.manual_seed(5)
    theirs_alone, ours_alone = [float(torch.rand(())) for _ in range(2000)], draw()
    torch.manual_seed(5)
    with ThreadPoolExecutor(1) as pool:
        ours = pool.submit(draw)
        theirs = [float(torch.rand(())) for _ in range(2000)]
        assert ours.result() == ours_alone
    assert theirs == theirs_alone


DRAWS = {
    "rand": lambda: torch.rand(3),
    "randn": lambda: torch.randn(3, 4),
    "randint": lambda: torch.randint(9, (4,)),
    "randint from": lambda: torch.randint(2, 9, (4,)),
    "randperm": lambda: torch.randperm(6),
    "normal": lambda: torch.normal(0.0, 1.0, (3,)),
    "like": lambda: torch.randn_like(torch.zeros(3)),
    "in place": lambda: torch.empty(4).bernoulli_(0.5) + torch.empty(4).exponential_(),
    "multinomial": lambda: torch.multinomial(torch.ones(5), 3),
    "dropout": lambda: nn.functional.dropout(torch.ones(20), 0.5),
    "truncated": lambda: nn.init.trunc_normal_(torch.empty(20)),
    "orthogonal": lambda: nn.init.orthogonal_(torch.empty(4, 4)),
    "layers": lambda: nn.Conv2d(3, 4, 3).weight.detach().flatten() + nn.Linear(36, 3).weight.detach().flatten(),
    "network": lambda: timm.create_model("test_vit").head.weight.detach(),
}


@pytest.mark.parametrize("name", DRAWS)
def test_the_numbers_are_those_of_a_global_seed(name: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        expected = DRAWS[name]()
        state = torch.get_rng_state()
        with seeded(3):
            assert torch.equal(DRAWS[name](), expected)
        assert torch.equal(torch.get_rng_state(), state)


def test_a_generator_that_is_given_is_used() -> None:
    expected = torch.rand(3, generator=torch.Generator().manual_seed(7))
    with seeded(3):
        assert torch.equal(torch.rand(3, generator=torch.Generator().manual_seed(7)), expected)


def test_no_numbers_are_drawn_where_there_is_no_memory() -> None:
    with seeded(0), torch.device("meta"):
        assert nn.Linear(2, 3).weight.is_meta
