"""Registered metrics, built fast: a CLIP becomes a tiny one of the same architecture with random weights."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from perceptmetrics import Metric, MetricSpec, create_metric, metric_info, register_metric
from perceptmetrics.spec import MlpHeadSpec
from tests.support import small_clip


def tiny(spec: MetricSpec) -> MetricSpec:
    """The same metric on a tiny CLIP."""
    architecture = small_clip.RESNET if spec.backbone.architecture.startswith("RN") else small_clip.VIT_224
    head = spec.head
    if isinstance(head, MlpHeadSpec):
        head = replace(head, widths=(small_clip.FEATURE_SIZE, *head.widths[1:]))
    return replace(spec, backbone=replace(spec.backbone, architecture=architecture), head=head)


def build(name: str, **options: Any) -> Metric:
    """Create a registered metric; those without CLIP are the real ones."""
    spec = metric_info(name)
    if spec.backbone.library != "open_clip":
        return create_metric(name, **options)
    with tempfile.TemporaryDirectory() as folder:
        small_clip.register(Path(folder))
    register_metric(tiny(spec), replace=True)
    try:
        return create_metric(name, weights=None, **options)
    finally:
        register_metric(spec, replace=True)
