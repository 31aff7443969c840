"""The metric before training: how well it predicts the same test images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from perceptmetrics.factory.build import Files, build_metric
from perceptmetrics.factory.folder import find_spec
from perceptmetrics.finetune.data.feeds import PixelFeed, TrainingViews
from perceptmetrics.finetune.model.learner import Learner, predict
from perceptmetrics.finetune.recipe import AugmentationRecipe
from perceptmetrics.metrics.registry import list_metrics, metric_info
from perceptmetrics.models.encoders import Placement
from perceptmetrics.models.views import Views
from perceptmetrics.weights.resolve import ResolveOptions, find_cached

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.data.feeds import Feed
    from perceptmetrics.finetune.run.results import SplitResult
    from perceptmetrics.finetune.training.trainer import RunContext
    from perceptmetrics.spec import MetricSpec

__all__ = ["Untouched", "score_untouched"]


@dataclass(frozen=True, kw_only=True)
class Untouched:
    """Scores of the metric that a run starts from.

    Attributes:
        name: Its name.
        scores: By data set, higher is better: shape (N, K) for its N images, NaN for those that no split tests. Data
            sets whose labels are not those of the metric are left out.
    """

    name: str
    scores: Mapping[str, NDArray[np.float64]]


def score_untouched(
    run: RunContext,
    lookup: ResolveOptions,
    stated: Path | None,
    splits: Sequence[SplitResult],
    features: Mapping[int, Feed],
) -> Untouched | None:
    """Score the test images of a run with the metric that it starts from.

    That is the metric which the recipe trains further, or else a registered one of the same task with the same views
    and the same frozen encoder whose weights are on this machine.

    Args:
        run: The run.
        lookup: How files are looked up.
        stated: The encoder's file, in place of the one that would be looked up.
        splits: The splits; their test images are scored.
        features: By data set, the features of the encoder before training, where the run has them: they are not
            computed again.

    Returns:
        The scores; None if there is no such metric.
    """
    name = run.recipe.metric or _related(run.specs[0], lookup)
    if name is None:
        return None
    spec, exported = find_spec(replace(lookup, metric=name))
    if exported is None and not _is_ready(spec, lookup):
        return None
    fitting = [index for index, dataset in enumerate(run.datasets) if _fits(spec, dataset)]
    if not fitting:
        return None
    files = Files(lookup=replace(lookup, metric=name), trained=exported, encoder=stated)
    learner = Learner([build_metric(spec, files, Placement(run.processes.device))], [0])
    scores = {}
    for index in fitting:
        dataset = run.datasets[index]
        tested = np.unique(np.concatenate([split.parts[index].test for split in splits]))
        feed = features.get(index) if _sees_the_same(spec, run.specs[0]) else None
        if feed is None:
            feed = PixelFeed(dataset, TrainingViews(Views(spec.views, run.recipe.seed), AugmentationRecipe()), 0)
        outputs = torch.from_numpy(predict(learner, 0, feed, tested, run.processes))
        found = spec.score.map.scores(outputs).numpy() * (1 if spec.score.higher_is_better else -1)
        scores[dataset.name] = np.full((len(dataset), found.shape[1]), np.nan)
        scores[dataset.name][tested] = found
    return Untouched(name=name, scores=scores)


def _related(trained: MetricSpec, lookup: ResolveOptions) -> str | None:
    """The registered metric of the same task that sees what a new metric sees."""
    for name in list_metrics():
        spec = metric_info(name)
        if (
            spec.task == trained.task
            and not spec.encoder.in_trained_file
            and spec.encoder.lora is None
            and _sees_the_same(spec, trained)
            and _is_ready(spec, lookup)
        ):
            return name
    return None


def _is_ready(spec: MetricSpec, lookup: ResolveOptions) -> bool:
    """Whether what was trained of a registered metric is on this machine: nothing is downloaded for a comparison."""
    file = spec.trained_file
    return not spec.has_trained_part or (file is not None and find_cached(file, lookup.cache_dir) is not None)


def _sees_the_same(spec: MetricSpec, other: MetricSpec) -> bool:
    """Whether two metrics have the same views and the same encoder before training."""
    encoders = [replace(one.encoder, lora=None, in_trained_file=False) for one in (spec, other)]
    return spec.views == other.views and encoders[0] == encoders[1]


def _fits(spec: MetricSpec, dataset: LabelledImages) -> bool:
    """Whether the outputs of a metric are the labels of a data set."""
    if dataset.classes is None and len(dataset.labels) == 1 and not spec.score.labels:
        return True
    return spec.score.labels == dataset.labels and spec.score.map.gives_probabilities == (dataset.classes is not None)
