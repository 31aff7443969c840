"""Which samples make up each batch of an epoch: pure indices, drawn from the seed and the number of the epoch alone.

With several data sets, each batch is composed in proportion to their sizes (PerceptCLIP, section 4.3): every one of
them is dealt out evenly over the batches of the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Batch", "Draw", "epoch_batches", "training_units"]


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One showing of an image.

    Attributes:
        index: The image.
        seed: What its variation is drawn from.
    """

    index: int
    seed: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch.

    Attributes:
        parts: For each data set, what is shown of it; may be empty.
    """

    parts: tuple[tuple[Draw, ...], ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))


def training_units(indices: NDArray[np.intp], groups: Sequence[str] | None) -> list[NDArray[np.intp]]:
    """What is drawn as a whole: single images, or the groups inside which alone images can be compared."""
    if groups is None:
        return [indices[place : place + 1] for place in range(len(indices))]
    members: dict[str, list[int]] = {}
    for index in indices.tolist():
        members.setdefault(groups[index], []).append(index)
    return [np.array(found, dtype=np.intp) for found in members.values()]


def epoch_batches(
    units: Sequence[Sequence[NDArray[np.intp]]],
    *,
    batch_size: int,
    replicas: Sequence[int],
    seed: Sequence[int],
    epoch: int,
) -> list[Batch]:
    """Deal an epoch out.

    Args:
        units: For each data set, what is drawn as a whole, see `training_units`.
        batch_size: Most samples of a batch, about: a unit is never cut.
        replicas: For each data set, how often each unit is shown.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.

    Returns:
        The batches, of nearly equal size.
    """
    total = sum(times * sum(map(len, data_set)) for times, data_set in zip(replicas, units, strict=True))
    count = max(1, -(-total // batch_size))
    dealt = [
        _deal(data_set, count, times, (*seed, epoch, number))
        for number, (times, data_set) in enumerate(zip(replicas, units, strict=True))
    ]
    return [batch for parts in zip(*dealt, strict=True) if len(batch := Batch(parts=parts))]


def _deal(
    units: Sequence[NDArray[np.intp]], count: int, replicas: int, seed: tuple[int, ...]
) -> list[tuple[Draw, ...]]:
    shown = [(unit, replica) for replica in range(replicas) for unit in units]
    order = np.random.default_rng(seed).permutation(len(shown))
    return [
        tuple(
            Draw(index=int(index), seed=(*seed, int(index), shown[place][1]))
            for place in places
            for index in shown[place][0]
        )
        for places in np.split(order, [len(order) * place // count for place in range(1, count)])
    ]
