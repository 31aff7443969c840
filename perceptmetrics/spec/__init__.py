"""What a metric is, as pure data.

A `MetricSpec` says everything that is needed to build a metric and to read its scores: where the
weights come from, how an image is seen, what becomes of the features, and what the number means.
It holds no tensors and imports no torch, so listing and describing metrics is instant. Everything that
would be dangerous to guess (QuickGELU, range, direction, paper, licence) has no default.
"""

from __future__ import annotations

from perceptmetrics.spec.crops import CropMode, CropsView, FragmentsView, PatchesView, PatchSelection, SalientView
from perceptmetrics.spec.encoders import (
    ClipEncoderSpec,
    EncoderFeatures,
    EncoderSpec,
    LoraSpec,
    PositionalEmbedding,
    Rename,
    TimmEncoderSpec,
)
from perceptmetrics.spec.heads import HeadLayout, HeadSpec, MlpHeadSpec
from perceptmetrics.spec.interval import IntervalSpec
from perceptmetrics.spec.licences import NONE_STATED, LicenceSpec
from perceptmetrics.spec.metric import CardSpec, MetricSpec, ScoreSpec, Task
from perceptmetrics.spec.pool import Aggregation, PoolSpec, RegressorSpec
from perceptmetrics.spec.prompt_heads import (
    AntonymHeadSpec,
    ContextPosition,
    ContextSpec,
    CosineHeadSpec,
    PromptHeadSpec,
    PromptPair,
)
from perceptmetrics.spec.score_maps import (
    AffineMap,
    ExpectedLevelMap,
    IdentityMap,
    LogisticMap,
    MarginalMap,
    ScoreMap,
    SoftmaxMap,
)
from perceptmetrics.spec.sources import HubFile, PackageFile, WeightSource
from perceptmetrics.spec.text_heads import FeaturePairsHeadSpec, MagnitudeHeadSpec, TextAxis, TextGridHeadSpec
from perceptmetrics.spec.views import (
    CentreCropView,
    Interpolation,
    PaddedView,
    ResizedView,
    ScaledView,
    SquareView,
    ViewSpec,
    ViewsSpec,
    WholeView,
)

__all__ = [
    "NONE_STATED",
    "AffineMap",
    "Aggregation",
    "AntonymHeadSpec",
    "CardSpec",
    "CentreCropView",
    "ClipEncoderSpec",
    "ContextPosition",
    "ContextSpec",
    "CosineHeadSpec",
    "CropMode",
    "CropsView",
    "EncoderFeatures",
    "EncoderSpec",
    "ExpectedLevelMap",
    "FeaturePairsHeadSpec",
    "FragmentsView",
    "HeadLayout",
    "HeadSpec",
    "HubFile",
    "IdentityMap",
    "Interpolation",
    "IntervalSpec",
    "LicenceSpec",
    "LogisticMap",
    "LoraSpec",
    "MagnitudeHeadSpec",
    "MarginalMap",
    "MetricSpec",
    "MlpHeadSpec",
    "PackageFile",
    "PaddedView",
    "PatchSelection",
    "PatchesView",
    "PoolSpec",
    "PositionalEmbedding",
    "PromptHeadSpec",
    "PromptPair",
    "RegressorSpec",
    "Rename",
    "ResizedView",
    "SalientView",
    "ScaledView",
    "ScoreMap",
    "ScoreSpec",
    "SoftmaxMap",
    "SquareView",
    "Task",
    "TextAxis",
    "TextGridHeadSpec",
    "TimmEncoderSpec",
    "ViewSpec",
    "ViewsSpec",
    "WeightSource",
    "WholeView",
]
