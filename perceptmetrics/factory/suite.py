"""Several metrics as one: each image is read once, each view made once, each encoder run once.

CLIP-IQA with other prompts is the same encoder with another head; PerceptCLIP's memorability and emotion look at the
same view with encoders that differ. What is common to several metrics is found by comparing them, not by names.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.factory.create import create_metric
from perceptmetrics.models.metric import Metric
from perceptmetrics.models.metric_base import MetricBase, common_decoding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from torch.nn.modules.module import _IncompatibleKeys

    from perceptmetrics.models.encoders import Encoder
    from perceptmetrics.models.metric_base import Prompts
    from perceptmetrics.models.views import Views

__all__ = ["MetricSuite"]


class MetricSuite(MetricBase[dict[str, Tensor]]):
    """Metrics that score the same images together.

    What they have in common is found when the suite is made or loads a state dictionary. After changing the weights of
    one of them in any other way, make a new suite.

    Args:
        metrics: Names (see `create_metric`), or metrics that exist, all on one device; not empty, no two with the
            same name.
        **create_options: Passed to `create_metric` for each of the names: `device`, `dtype`, `cache_dir`, ...

    Raises:
        InvalidOptionError: There is no metric, a name occurs twice, or the metrics are on several devices or decode
            images in different ways.

    Examples:
        >>> import torch
        >>> suite = MetricSuite(["lite_iqa"])
        >>> {name: scores.shape for name, scores in suite(torch.rand(2, 3, 64, 64)).items()}
        {'lite_iqa': torch.Size([2])}
    """

    def __init__(self, metrics: Sequence[str | os.PathLike[str] | Metric], **create_options: Any) -> None:
        super().__init__()
        if isinstance(metrics, (str, os.PathLike, Metric)):
            given = type(metrics).__name__
            raise InvalidOptionError(f"A suite takes a list of metrics, got {given}. Write MetricSuite([...]).")
        made = [_metric(one, create_options) for one in metrics]
        names = [metric.metric_name for metric in made]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated or not made:
            raise InvalidOptionError(
                f"A suite takes each metric once; {', '.join(repeated)} is given more than once."
                if repeated
                else "A suite needs at least one metric."
            )
        if len({metric.device for metric in made}) > 1:
            raise InvalidOptionError("The metrics of a suite must be on one device; move them there first.")
        self.decoding = common_decoding(made)
        self.metrics = nn.ModuleList(made)
        self._plan = _planned(made)
        self.close()

    @property
    def device(self) -> torch.device:
        """Where the encoders live."""
        return self._members()[0].device

    @property
    def reads_prompts(self) -> bool:
        """Whether one of the metrics compares each image with a text of its own."""
        return any(metric.reads_prompts for metric in self._members())

    @property
    def score_columns(self) -> tuple[str, ...]:
        """Columns of all metrics, side by side."""
        return tuple(column for metric in self._members() for column in metric.score_columns)

    def forward_batch(self, images: Tensor, prompts: Sequence[str] | Tensor | None = None) -> Tensor:
        """Score a batch; the columns of all metrics side by side. See `MetricBase.forward_batch`."""
        views: dict[int, list[Tensor]] = {}
        features: dict[tuple[int, int], list[Tensor]] = {}
        columns = []
        metrics = self._members()
        for metric, (encoder, view) in zip(metrics, self._plan, strict=True):
            if view not in views:
                views[view] = metrics[view].views(images)
            if (encoder, view) not in features:
                features[encoder, view] = metrics[encoder].encode(views[view])
            own = prompts if metric.reads_prompts else None
            columns.append(metric.forward_features(features[encoder, view], images.shape[0], own))
        return torch.cat(columns, dim=1)

    def score_features(
        self,
        embeddings: Tensor | np.ndarray,
        prompts: Prompts | None = None,
        *,
        normalized: bool,
        encoder: str | None = None,
    ) -> dict[str, Tensor]:
        """Score embeddings with every metric; see `Metric.score_features`."""
        return {
            metric.metric_name: metric.score_features(
                embeddings, prompts if metric.reads_prompts else None, normalized=normalized, encoder=encoder
            )
            for metric in self._members()
        }

    def requires_grad_(self, requires_grad: bool = True) -> MetricSuite:
        """Let all weights train, or freeze them; see `Metric.requires_grad_`."""
        for metric in self._members():
            metric.requires_grad_(requires_grad)
        return self.open() if requires_grad else self.close()

    def train(self, mode: bool = True) -> MetricSuite:
        """Switch to training mode, except for what is frozen in the metrics."""
        self.training = mode
        for metric in self._members():
            metric.train(mode)
        return self

    def opened(self) -> MetricSuite:
        """See `Closed.opened`; the metrics are open too."""
        shown = super().opened()
        shown.metrics = nn.ModuleList([metric.opened() for metric in self._members()])
        return shown

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """As for any module; what the metrics have in common is found again."""
        loaded = super().load_state_dict(state_dict, strict, assign)
        self._plan = _planned(self._members())
        return loaded

    def to_output(self, rows: Tensor) -> dict[str, Tensor]:
        """Scores by the metric's name: shape (N,), or (N, K) for a metric with K labels."""
        metrics = self._members()
        columns = torch.split(rows, [max(1, len(metric.labels)) for metric in metrics], dim=1)
        return {metric.metric_name: metric.to_output(part) for metric, part in zip(metrics, columns, strict=True)}

    def _members(self) -> list[Metric]:
        return list(self.metrics)  # type: ignore[arg-type]


def _metric(one: str | os.PathLike[str] | Metric, create_options: dict[str, Any]) -> Metric:
    if isinstance(one, (str, os.PathLike)):
        one = create_metric(one, **create_options)
    if not isinstance(one, Metric):
        raise InvalidOptionError(
            f"A suite takes names and metrics, got {type(one).__name__}. (Losses are made from the metrics, one each.)"
        )
    return one


def _planned(metrics: Sequence[Metric]) -> list[tuple[int, int]]:
    """For each metric, the indices of the first metrics with the same encoder and with the same views."""
    return [
        (
            next(index for index, other in enumerate(metrics) if _same_encoder(other, metric)),
            next(index for index, other in enumerate(metrics) if _same_views(other.views, metric.views)),
        )
        for metric in metrics
    ]


def _same_views(one: Views, other: Views) -> bool:
    return one.spec == other.spec and one.seed == other.seed


def _same_encoder(one: Metric, other: Metric) -> bool:
    """Whether two metrics have the same encoder with the same weights, which may lie twice in memory."""
    if one.encoder is other.encoder:
        return True
    return one.spec.encoder.is_built_as(other.spec.encoder) and _same_tensors(one.encoder, other.encoder)


def _same_tensors(one: Encoder, other: Encoder) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(_equal(mine[name], theirs[name]) for name in mine)


def _equal(one: Tensor, other: Tensor) -> bool:
    if not type(one) is type(other) is Tensor:  # quantised ones are not compared
        return False
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.data_ptr() == other.data_ptr() or torch.equal(one, other)
