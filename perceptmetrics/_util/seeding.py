"""Random numbers from a seed, without touching the caller's random state."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["seeded"]

_LOCK = threading.RLock()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the CPU's generator and restore it afterwards. Generators of GPUs are not touched.

    (`torch.manual_seed` would seed them too, and they would stay seeded.) All threads share the CPU's generator. Blocks
    in several threads wait for one another, so each draws the same numbers as it would alone.
    """
    with _LOCK, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
