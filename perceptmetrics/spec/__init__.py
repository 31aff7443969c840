"""What a metric is, as pure data.

A `MetricSpec` says everything that is needed to build a metric and to read its scores: where the
weights come from, how an image is seen, what becomes of the features, and what the number means.
It holds no tensors and imports no torch, so listing and describing metrics is instant. Everything that
would be dangerous to guess (QuickGELU, range, direction, paper, licence) has no default.
"""

from __future__ import annotations

from perceptmetrics.spec.backbone import BackboneSpec, EncoderFeatures, LoraSpec, PositionalEmbedding
from perceptmetrics.spec.heads import (
    Aggregation,
    AntonymHeadSpec,
    ContextPosition,
    ContextSpec,
    CosineHeadSpec,
    HeadSpec,
    MlpHeadSpec,
    PoolSpec,
    PromptPair,
    RegressorSpec,
)
from perceptmetrics.spec.metric import CardSpec, MetricSpec, ScoreSpec, Task
from perceptmetrics.spec.sources import HubFile, PackageFile, WeightSource
from perceptmetrics.spec.views import (
    CentreCropView,
    CropMode,
    CropsView,
    FragmentsView,
    SalientView,
    ViewSpec,
    ViewsSpec,
    WholeView,
)

__all__ = [
    "Aggregation",
    "AntonymHeadSpec",
    "BackboneSpec",
    "CardSpec",
    "CentreCropView",
    "ContextPosition",
    "ContextSpec",
    "CosineHeadSpec",
    "CropMode",
    "CropsView",
    "EncoderFeatures",
    "FragmentsView",
    "HeadSpec",
    "HubFile",
    "LoraSpec",
    "MetricSpec",
    "MlpHeadSpec",
    "PackageFile",
    "PoolSpec",
    "PositionalEmbedding",
    "PromptPair",
    "RegressorSpec",
    "SalientView",
    "ScoreSpec",
    "Task",
    "ViewSpec",
    "ViewsSpec",
    "WeightSource",
    "WholeView",
]
