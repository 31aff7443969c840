"""perceptmetrics scores how people perceive images, with CLIP as the prior.

Importing the package is instant: PyTorch is imported when the first name that needs it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from perceptmetrics._util.version import __version__

if TYPE_CHECKING:
    from perceptmetrics.datasets import list_datasets, load_dataset, register_dataset
    from perceptmetrics.errors import (
        DatasetError,
        InvalidEmbeddingError,
        InvalidImageError,
        InvalidOptionError,
        InvalidSpecError,
        MissingExtraError,
        PerceptMetricsError,
        UnknownMetricError,
        WeightsError,
    )
    from perceptmetrics.explain import attention_maps, head_importance, saliency_map, view_scores
    from perceptmetrics.factory.create import create_metric
    from perceptmetrics.factory.suite import MetricSuite
    from perceptmetrics.images.load import load_image
    from perceptmetrics.integrations.datasets import score_dataset
    from perceptmetrics.integrations.pandas import score_frame
    from perceptmetrics.metrics.registry import list_metrics, list_models, metric_info, register_metric
    from perceptmetrics.models.encoders import register_encoder
    from perceptmetrics.models.heads import register_head
    from perceptmetrics.models.losses import PerceptualLoss
    from perceptmetrics.models.metric import Metric
    from perceptmetrics.models.views import register_view
    from perceptmetrics.spec import MetricSpec
    from perceptmetrics.spec.score_maps import register_score_map
    from perceptmetrics.tripwire import find_broken
    from perceptmetrics.video import FrameSampling, VideoScores, score_video

__all__ = [
    "DatasetError",
    "FrameSampling",
    "InvalidEmbeddingError",
    "InvalidImageError",
    "InvalidOptionError",
    "InvalidSpecError",
    "Metric",
    "MetricSpec",
    "MetricSuite",
    "MissingExtraError",
    "PerceptMetricsError",
    "PerceptualLoss",
    "UnknownMetricError",
    "VideoScores",
    "WeightsError",
    "__version__",
    "attention_maps",
    "create_metric",
    "find_broken",
    "head_importance",
    "list_datasets",
    "list_metrics",
    "list_models",
    "load_dataset",
    "load_image",
    "metric_info",
    "register_dataset",
    "register_encoder",
    "register_head",
    "register_metric",
    "register_score_map",
    "register_view",
    "saliency_map",
    "score_dataset",
    "score_frame",
    "score_video",
    "view_scores",
]

_MODULE_OF = {
    "DatasetError": "errors",
    "FrameSampling": "video",
    "InvalidEmbeddingError": "errors",
    "InvalidImageError": "errors",
    "InvalidOptionError": "errors",
    "InvalidSpecError": "errors",
    "Metric": "models.metric",
    "MetricSpec": "spec",
    "MetricSuite": "factory.suite",
    "MissingExtraError": "errors",
    "PerceptMetricsError": "errors",
    "PerceptualLoss": "models.losses",
    "UnknownMetricError": "errors",
    "VideoScores": "video",
    "WeightsError": "errors",
    "attention_maps": "explain",
    "create_metric": "factory.create",
    "find_broken": "tripwire",
    "head_importance": "explain",
    "list_datasets": "datasets",
    "list_metrics": "metrics.registry",
    "list_models": "metrics.registry",
    "load_dataset": "datasets",
    "load_image": "images.load",
    "metric_info": "metrics.registry",
    "register_dataset": "datasets",
    "register_encoder": "models.encoders",
    "register_head": "models.heads",
    "register_metric": "metrics.registry",
    "register_score_map": "spec.score_maps",
    "register_view": "models.views",
    "saliency_map": "explain",
    "score_dataset": "integrations.datasets",
    "score_frame": "integrations.pandas",
    "score_video": "video",
    "view_scores": "explain",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'perceptmetrics' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"perceptmetrics.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
