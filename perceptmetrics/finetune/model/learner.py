"""The model in training, as one module: an encoder that all data sets share, and a metric for each head."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from perceptmetrics.finetune.data.feeds import Feed, in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from perceptmetrics.finetune.data.batches import TrainingSet
    from perceptmetrics.finetune.data.feeds import Sample
    from perceptmetrics.finetune.processes import Processes
    from perceptmetrics.models.heads import Head
    from perceptmetrics.models.metric import Metric
    from perceptmetrics.models.prompt_learner import PromptLearner

__all__ = ["Learner", "predict", "standardise_heads"]

_IMAGES_AT_ONCE, _FEATURES_AT_ONCE = 8, 256
_MIN_STD = 1e-3  # added to standard deviations, so that a nearly constant feature is not amplified


class Learner(nn.Module):
    """Metrics that share their encoder; its forward pass is that of scoring.

    Args:
        metrics: The metrics, one for each head.
        heads: For each data set, the index of its metric.
        prompts: Learned prompts of the metric, if prompts are trained.
    """

    def __init__(self, metrics: Sequence[Metric], heads: Sequence[int], prompts: PromptLearner | None = None) -> None:
        super().__init__()
        self.metrics = nn.ModuleList(metrics)
        self.prompts = prompts
        self._heads = tuple(heads)

    def metric(self, data_set: int) -> Metric:
        """The metric of the data set of this index."""
        return self.metrics[self._heads[data_set]]  # type: ignore[return-value]

    def forward(self, samples: Sequence[Sequence[Sample]]) -> list[Tensor]:
        """Predict a batch.

        Args:
            samples: For each data set, its samples: pixels, which are encoded first, or features.

        Returns:
            For each data set, predictions of shape (N, K), float32.
        """
        self.install_prompts()
        encoded = self.encode([sample for data_set in samples for sample in data_set])
        outputs, start = [], 0
        for index, data_set in enumerate(samples):
            stop = start + len(data_set)
            outputs.append(self._from_features(index, [view[start:stop] for view in encoded]))
            start = stop
        return outputs

    def predict(self, data_set: int, samples: Sequence[Sample]) -> Tensor:
        """Predictions for samples of a data set, of any sizes: shape (N, K)."""
        self.install_prompts()
        return self._from_features(data_set, self.encode(samples))

    def encode(self, samples: Sequence[Sample]) -> list[list[Tensor]]:
        """Features of samples: for each view and each sample, shape (V, D)."""
        return [self._encode([sample[view] for sample in samples]) for view in range(len(samples[0]))]

    def no_outputs(self, data_set: int) -> Tensor:
        """Predictions for no samples: shape (0, K)."""
        metric = self.metric(data_set)
        return torch.zeros(0, max(1, len(metric.labels)), device=metric.device)

    def train(self, mode: bool = True) -> Learner:
        """Switch to training mode, except for frozen parts and batch normalisation, whose statistics stay fixed."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - the base of all of them
                module.eval()
        return self

    def install_prompts(self) -> None:
        """Copy the current prompts into the head."""
        if self.prompts is not None:
            self.prompts.install(self.metric(0).head)  # type: ignore[arg-type]

    def _from_features(self, data_set: int, encoded: Sequence[Sequence[Tensor]]) -> Tensor:
        """Predictions from what `encode` returns; samples with equally many views go together."""
        if not len(encoded[0]):
            return self.no_outputs(data_set)
        metric = self.metric(data_set)
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
        """Encode one view of every sample: shapes (V, 3, h, w) or (V, D) to (V, D)."""
        if shown[0].ndim == 2:
            return [features.to(self.metric(0).device) for features in shown]
        by_size: dict[torch.Size, list[int]] = {}
        for index, pixels in enumerate(shown):
            by_size.setdefault(pixels.shape, []).append(index)
        features: list[Tensor] = [torch.empty(0)] * len(shown)
        for shape, indices in by_size.items():
            pixels = torch.cat([shown[index] for index in indices]).to(self.metric(0).device)
            (encoded,) = self.metric(0).encode([pixels])
            for index, part in zip(indices, encoded.reshape(len(indices), shape[0], -1), strict=True):
                features[index] = part
        return features


@torch.no_grad()
def predict(
    learner: Learner, data_set: int, feed: Feed, images: NDArray[np.intp], processes: Processes
) -> NDArray[np.float64]:
    """Predict images as they are scored, in float32.

    Args:
        learner: The model.
        data_set: Index of the data set.
        feed: Source of its samples.
        images: Indices of the N images.
        processes: The processes that divide the work; each gets all outputs.

    Returns:
        Raw outputs, shape (N, K).
    """
    learner.eval()
    parts = [list(range(len(images)))[rank :: processes.world] for rank in range(processes.world)]
    own_images = images[parts[processes.rank]]
    size = _FEATURES_AT_ONCE if feed.encoded else _IMAGES_AT_ONCE
    chunks = [own_images[start : start + size] for start in range(0, len(own_images), size)]
    tasks = ([partial(feed.scoring_sample, int(index)) for index in chunk] for chunk in chunks)
    rows = [learner.predict(data_set, samples) for samples in in_order(tasks, threads=not feed.encoded)]
    own = torch.cat(rows) if rows else learner.no_outputs(data_set)
    gathered = processes.gather(own, [len(part) for part in parts]).cpu().double().numpy()
    ordered = np.empty_like(gathered)
    ordered[[position for part in parts for position in part]] = gathered
    return ordered


@torch.no_grad()
def standardise_heads(learner: Learner, sets: Sequence[TrainingSet]) -> None:
    """Set mean and standard deviation of the heads that standardise their features, from the training images.

    Data sets that share a head count in proportion to the weights of their losses.
    """
    moments: dict[Head, list[tuple[float, Tensor, Tensor]]] = {}
    for index, one in enumerate(sets):
        head = cast("Head", learner.metric(index).head)
        if head.standardises:
            moments.setdefault(head, []).append((one.weight, *_moments(learner, one, head)))
    for head, found in moments.items():
        weights, means, squares = zip(*found, strict=True)
        fractions = torch.tensor(weights, dtype=torch.float64)
        fractions /= fractions.sum()
        mean, square = (fractions @ torch.stack(values) for values in (means, squares))
        head.feature_mean.copy_(mean)
        head.feature_std.copy_((square - mean.square()).clamp(min=0).sqrt() + _MIN_STD)


def _moments(learner: Learner, one: TrainingSet, head: Head) -> tuple[Tensor, Tensor]:
    """Mean of the features of the training images, and of their squares."""
    train = one.split.train.tolist()
    chunks = [train[start : start + _IMAGES_AT_ONCE] for start in range(0, len(train), _IMAGES_AT_ONCE)]
    total = square = torch.zeros(())
    count = 0
    tasks = ([partial(one.feed.scoring_sample, index) for index in chunk] for chunk in chunks)
    for samples in in_order(tasks, threads=not one.feed.encoded):
        for features in learner.encode(samples):
            rows = head.map_features(torch.cat(features).cpu().double())
            total, square, count = total + rows.sum(dim=0), square + rows.square().sum(dim=0), count + len(rows)
    return total / count, square / count
