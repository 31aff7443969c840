"""What a model says of images, while it is trained and after."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from perceptmetrics.finetune.feeds import Feed, in_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perceptmetrics.finetune.learner import Learner
    from perceptmetrics.finetune.processes import Processes

__all__ = ["predict"]

_IMAGES_AT_ONCE, _FEATURES_AT_ONCE = 8, 256


@torch.no_grad()
def predict(
    learner: Learner, number: int, feed: Feed, indices: NDArray[np.intp], processes: Processes
) -> NDArray[np.float64]:
    """Raw outputs for images as they are scored, in float32.

    Args:
        learner: The model.
        number: Number of the data set.
        feed: Where its samples come from.
        indices: The N images.
        processes: The processes that share the work; each gets all outputs.

    Returns:
        Shape (N, K).
    """
    learner.eval()
    shares = [list(range(len(indices)))[rank :: processes.world] for rank in range(processes.world)]
    mine = indices[shares[processes.rank]]
    at_once = _FEATURES_AT_ONCE if feed.encoded else _IMAGES_AT_ONCE
    chunks = [mine[start : start + at_once] for start in range(0, len(mine), at_once)]
    tasks = ([partial(feed.fixed, int(index)) for index in chunk] for chunk in chunks)
    rows = [learner.predict(number, samples) for samples in in_order(tasks, threads=not feed.encoded)]
    own = torch.cat(rows) if rows else learner.no_rows(number)
    gathered = processes.gather(own, [len(share) for share in shares]).cpu().double().numpy()
    places = [place for share in shares for place in share]
    ordered = np.empty_like(gathered)
    ordered[places] = gathered
    return ordered
