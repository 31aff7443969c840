"""Choosing pairs of images for people to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["MAX_CANDIDATES", "choose_pairs"]

MAX_CANDIDATES = 20_000
_USE_PENALTY = 0.05  # of the widest difference, for each pair that an image is in already


def choose_pairs(scores: Sequence[float], count: int, seed: int) -> list[tuple[int, int]]:
    """Choose pairs whose differences are spread evenly from nearly none to the widest.

    Pairs of equal quality tell how fine a metric's judgement is, pairs far apart whether it is sane; drawn at random,
    most pairs would be of one kind. Images that are in few pairs are preferred.

    Args:
        scores: Scores of N >= 2 images.
        count: How many pairs to choose.
        seed: Seed of every draw: candidates, order of the pairs, and which image is on the left.

    Returns:
        At most `count` different pairs `(left, right)` of places in `scores`; fewer when there are no more.
    """
    generator = np.random.default_rng(seed)
    first, second = _candidates(len(scores), generator)
    values = np.asarray(scores, dtype=np.float64)
    differences = np.abs(values[first] - values[second])
    widest = float(differences.max()) or 1.0
    count = min(count, len(first))
    uses = np.zeros(len(scores))
    free = np.ones(len(first), dtype=bool)
    pairs = []
    for target in generator.permutation(np.linspace(0.0, float(differences.max()), count)):
        cost = np.abs(differences - target) / widest + _USE_PENALTY * (uses[first] + uses[second])
        chosen = int(np.argmin(np.where(free, cost, np.inf)))
        free[chosen] = False
        pair = (int(first[chosen]), int(second[chosen]))
        uses[list(pair)] += 1
        pairs.append(pair if generator.random() < 0.5 else pair[::-1])
    return pairs


def _candidates(size: int, generator: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All pairs, or `MAX_CANDIDATES` of them drawn at random, in random order."""
    total = size * (size - 1) // 2
    if total <= 4 * MAX_CANDIDATES:
        first, second = np.triu_indices(size, k=1)
        order = generator.permutation(total)[:MAX_CANDIDATES]
        return first[order], second[order]
    drawn = np.sort(generator.integers(0, size, (2 * MAX_CANDIDATES, 2)), axis=1)
    drawn = np.unique(drawn[drawn[:, 0] < drawn[:, 1]], axis=0)
    drawn = generator.permutation(drawn)[:MAX_CANDIDATES]
    return drawn[:, 0], drawn[:, 1]
