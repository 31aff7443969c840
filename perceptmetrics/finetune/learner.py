"""What is trained, as one module: an encoder that all data sets share, and a metric for each of their heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from perceptmetrics.models.heads import AntonymHead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.finetune.augmentation import Sample
    from perceptmetrics.models.metric import Metric
    from perceptmetrics.models.prompt_learner import PromptLearner

__all__ = ["Learner"]


class Learner(nn.Module):
    """Metrics that share their encoder, on the road that scoring takes.

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
            For each data set, raw outputs of shape (N, K), float32.
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
        """Raw outputs of a data set's samples of any sizes: shape (N, K)."""
        self.install_prompts()
        return self._rate(number, self.encode(samples))

    def encode(self, samples: Sequence[Sample]) -> list[Tensor]:
        """Features of samples: for each view, shape (N, V, D)."""
        return [self._encode([sample[view] for sample in samples]) for view in range(len(samples[0]))]

    def no_rows(self, number: int) -> Tensor:
        """Raw outputs of no samples: shape (0, K)."""
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
        head = self.metric(0).head
        if self.prompts is not None and isinstance(head, AntonymHead):
            self.prompts.install(head)

    def _rate(self, number: int, encoded: Sequence[Tensor]) -> Tensor:
        """Heads and pools, from features of shapes (N, V, D)."""
        count = len(encoded[0])
        if not count:
            return self.no_rows(number)
        return self.metric(number).outputs([view.flatten(0, 1) for view in encoded], count)

    def _encode(self, shown: Sequence[Tensor]) -> Tensor:
        """One view of every sample: shapes (V, 3, h, w) or (V, D) to (N, V, D)."""
        if shown[0].ndim == 2:
            return torch.stack([features.to(self.metric(0).device) for features in shown])
        by_size: dict[torch.Size, list[int]] = {}
        for place, pixels in enumerate(shown):
            by_size.setdefault(pixels.shape, []).append(place)
        features: list[Tensor] = [torch.empty(0)] * len(shown)
        for shape, places in by_size.items():
            pixels = torch.cat([shown[place] for place in places]).to(self.metric(0).device)
            (encoded,) = self.metric(0).encode([pixels])
            for place, part in zip(places, encoded.reshape(len(places), shape[0], -1), strict=True):
                features[place] = part
        return torch.stack(features)
