"""Every registered metric, built fast: CLIPs on tiny towers of the same architecture, the rest for real."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest


from perceptmetrics import Metric, create_metric, list_metrics, metric_info, register_metric
from perceptmetrics.registry import _specs
from tests.tiny_clip import TINY_ARCHITECTURES


def build(name: str, **options: Any) -> Metric:
    """Build a registered metric; a CLIP is replaced by a tiny one with random weights."""
    spec = metric_info(name)
    if spec.backbone.library != "open_clip":
        return create_metric(name, **options)
    family = "RN" if spec.backbone.architecture.startswith("RN") else "ViT"
    tiny = replace(spec, backbone=replace(spec.backbone, architecture=TINY_ARCHITECTURES[family]))
    register_metric(tiny, replace=True)
    try:
        return create_metric(name, weights=None, **options)
    finally:
        _specs[name] = spec


@pytest.fixture(params=list_metrics())
def metric(request: pytest.FixtureRequest) -> Metric:
    """A registered metric."""
    return build(request.param)
