"""Registered metrics, built fast: a CLIP becomes a tiny one of the same architecture with random weights."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from perceptmetrics import Metric, create_metric, metric_info, register_metric
from tests import tiny_clip


def build(name: str, **options: Any) -> Metric:
    """Create a registered metric; those without CLIP are the real ones."""
    spec = metric_info(name)
    if spec.backbone.library != "open_clip":
        return create_metric(name, **options)
    with tempfile.TemporaryDirectory() as folder:
        tiny_clip.register(Path(folder))
    architecture = tiny_clip.RESNET if spec.backbone.architecture.startswith("RN") else tiny_clip.VIT
    register_metric(replace(spec, backbone=replace(spec.backbone, architecture=architecture)), replace=True)
    try:
        return create_metric(name, weights=None, **options)
    finally:
        register_metric(spec, replace=True)
