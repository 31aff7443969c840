"""What is trained, as one module: an encoder that all data sets share, and a metric for each of their heads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from perceptmetrics.finetune.feeds import Feed, in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from perceptmetrics.finetune.data import TrainingSet
    from perceptmetrics.finetune.feeds import Sample
    from perceptmetrics.finetune.processes import Processes
    from perceptmetrics.models.heads import Head
    from perceptmetrics.models.metric import Metric
    from perceptmetrics.models.prompt_learner import PromptLearner

__all__ = ["Learner", "predict", "standardise_heads"]

_IMAGES_AT_ONCE, _FEATURES_AT_ONCE = 8, 256
_FLOOR = 1e-3  # added to standard deviations: a feature that hardly varies is not blown up
_AT_ONCE = 8


class Learner(nn.Module):
    """Metrics that share their encoder, in the forward pass that scoring takes.

    Args:
        metrics: The metrics, one for each head.
        heads: For each data set, the number of its metric.
        prompts: What learns the prompts of the metric, if that is what is trained.
    """

    def __init__(self, metrics: Sequence[Metric], heads: Sequence[int], prompts: PromptLearner | None = None) -> None:
        super().__init__()
        self.metrics = nn.ModuleList(metrics)
        self.prompts = prompts
        self._heads = tuple(heads)

    def metric(self, data_set: int) -> Metric:
        """The metric of a data set."""
        return self.metrics[self._heads[data_set]]  # type: ignore[return-value]

    def forward(self, samples: Sequence[Sequence[Sample]]) -> list[Tensor]:
        """Predict.

        Args:
            samples: For each data set, its samples: pixels that are encoded first, or features.

        Returns:
            For each data set, predictions of shape (N, K), float32.
        """
        self.install_prompts()
        encoded = self.encode([sample for data_set in samples for sample in data_set])
        outputs, start = [], 0
        for number, data_set in enumerate(samples):
            stop = start + len(data_set)
            outputs.append(self._rate(number, [view[start:stop] for view in encoded]))
            start = stop
        return outputs

    def predict(self, number: int, samples: Sequence[Sample]) -> Tensor:
        """Predictions for a data set's samples of any sizes: shape (N, K)."""
        self.install_prompts()
        return self._rate(number, self.encode(samples))

    def encode(self, samples: Sequence[Sample]) -> list[list[Tensor]]:
        """Features of samples: for each view and each sample, shape (V, D)."""
        return [self._encode([sample[view] for sample in samples]) for view in range(len(samples[0]))]

    def no_rows(self, number: int) -> Tensor:
        """Predictions for no samples: shape (0, K)."""
        metric = self.metric(number)
        return torch.zeros(0, max(1, len(metric.labels)), device=metric.device)

    def train(self, mode: bool = True) -> Learner:
        """Switch to training mode, except for frozen parts and for batch normalisation, whose statistics stay."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - the base of all of them
                module.eval()
        return self

    def install_prompts(self) -> None:
        """Make the prompts, as they are now, those of the head."""
        if self.prompts is not None:
            self.prompts.install(self.metric(0).head)  # type: ignore[arg-type]

    def _rate(self, number: int, encoded: Sequence[Sequence[Tensor]]) -> Tensor:
        """Predictions from the features of what `encode` returns; samples with equally many views go together."""
        if not len(encoded[0]):
            return self.no_rows(number)
        metric = self.metric(number)
        by_views: dict[tuple[int, ...], list[int]] = {}
        for index, features in enumerate(zip(*encoded, strict=True)):
            by_views.setdefault(tuple(map(len, features)), []).append(index)
        predicted = [
            metric.spec.score.map.predictions(
                metric.outputs([torch.cat([view[index] for index in indices]) for view in encoded], len(indices))
            )
            for indices in by_views.values()
        ]
        if len(predicted) == 1:
            return predicted[0]
        order = torch.tensor([index for indices in by_views.values() for index in indices])
        return torch.cat(predicted)[order.argsort().to(metric.device)]

    def _encode(self, shown: Sequence[Tensor]) -> list[Tensor]:
        """One view of every sample: shapes (V, 3, h, w) or (V, D) to (V, D)."""
        if shown[0].ndim == 2:
            return [features.to(self.metric(0).device) for features in shown]
        by_size: dict[torch.Size, list[int]] = {}
        for place, pixels in enumerate(shown):
            by_size.setdefault(pixels.shape, []).append(place)
        features: list[Tensor] = [torch.empty(0)] * len(shown)
        for shape, places in by_size.items():
            pixels = torch.cat([shown[place] for place in places]).to(self.metric(0).device)
            (encoded,) = self.metric(0).encode([pixels])
            for place, part in zip(places, encoded.reshape(len(places), shape[0], -1), strict=True):
                features[place] = part
        return features


@torch.no_grad()
def predict(
    learner: Learner, number: int, feed: Feed, indices: NDArray[np.intp], processes: Processes
) -> NDArray[np.float64]:
    """Predictions for images as they are scored, in float32.

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


@torch.no_grad()
def standardise_heads(learner: Learner, sets: Sequence[TrainingSet]) -> None:
    """Set mean and standard deviation of heads that standardise; data sets of one head count as their losses do."""
    moments: dict[Head, list[tuple[float, Tensor, Tensor]]] = {}
    for number, one in enumerate(sets):
        head = cast("Head", learner.metric(number).head)
        if head.standardises:
            moments.setdefault(head, []).append((one.weight, *_moments(learner, one, head)))
    for head, found in moments.items():
        weights, means, squares = zip(*found, strict=True)
        shares = torch.tensor(weights, dtype=torch.float64)
        shares /= shares.sum()
        mean, square = (shares @ torch.stack(values) for values in (means, squares))
        head.feature_mean.copy_(mean)
        head.feature_std.copy_((square - mean.square()).clamp(min=0).sqrt() + _FLOOR)


def _moments(learner: Learner, one: TrainingSet, head: Head) -> tuple[Tensor, Tensor]:
    """Mean of the features, and of their squares."""
    train = one.split.train.tolist()
    chunks = [train[start : start + _AT_ONCE] for start in range(0, len(train), _AT_ONCE)]
    total = square = torch.zeros(())
    count = 0
    tasks = ([partial(one.feed.fixed, index) for index in chunk] for chunk in chunks)
    for samples in in_order(tasks, threads=not one.feed.encoded):
        for features in learner.encode(samples):
            rows = head.map_features(torch.cat(features).cpu().double())
            total, square, count = total + rows.sum(dim=0), square + rows.square().sum(dim=0), count + len(rows)
    return total / count, square / count
