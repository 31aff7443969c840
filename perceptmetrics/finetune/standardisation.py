"""Mean and standard deviation of the training images' features, for heads that standardise."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from perceptmetrics.finetune.feeds import in_order
from perceptmetrics.functional.score import signed_log
from perceptmetrics.models.heads import MlpHead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from perceptmetrics.finetune.learner import Learner
    from perceptmetrics.finetune.training_set import TrainingSet

__all__ = ["standardise_heads"]

_FLOOR = 1e-3  # added to standard deviations: a feature that hardly varies is not blown up
_AT_ONCE = 8


@torch.no_grad()
def standardise_heads(learner: Learner, sets: Sequence[TrainingSet]) -> None:
    """Set mean and standard deviation of heads that standardise; data sets of one head count as their losses do."""
    moments: dict[MlpHead, list[tuple[float, Tensor, Tensor]]] = {}
    for number, one in enumerate(sets):
        head = learner.metric(number).head
        if isinstance(head, MlpHead) and head.standardises:
            moments.setdefault(head, []).append((one.weight, *_moments(learner, one, head)))
    for head, found in moments.items():
        weights, means, squares = zip(*found, strict=True)
        shares = torch.tensor(weights, dtype=torch.float64)
        shares /= shares.sum()
        mean, square = (shares @ torch.stack(values) for values in (means, squares))
        head.feature_mean.copy_(mean)
        head.feature_std.copy_((square - mean.square()).clamp(min=0).sqrt() + _FLOOR)


def _moments(learner: Learner, one: TrainingSet, head: MlpHead) -> tuple[Tensor, Tensor]:
    """Mean of the features, and of their squares."""
    train = one.split.train.tolist()
    chunks = [train[start : start + _AT_ONCE] for start in range(0, len(train), _AT_ONCE)]
    total = square = torch.zeros(())
    count = 0
    tasks = ([partial(one.feed.fixed, index) for index in chunk] for chunk in chunks)
    for samples in in_order(tasks, threads=not one.feed.encoded):
        for features in learner.encode(samples):
            rows = features.flatten(0, 1).cpu().double()
            rows = signed_log(rows) if head.feature_map == "signed_log" else rows
            total, square, count = total + rows.sum(dim=0), square + rows.square().sum(dim=0), count + len(rows)
    return total / count, square / count
