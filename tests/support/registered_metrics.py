"""Registered metrics, built fast: a CLIP becomes a tiny one of the same architecture with random weights.

The package has no way to forget a metric; tests that register some leave the registry as it was.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from perceptmetrics import Metric, MetricSpec, create_metric, list_metrics, metric_info, register_metric
from perceptmetrics.metrics import registry
from perceptmetrics.models.encoders.named import encoder_width
from perceptmetrics.spec import EncoderSpec, MlpHeadSpec, PackageFile
from tests.support import small_clip

# Whose random weights give the photographs cosines above 0 with the prompt of the contract: others count as 0.
_SEEDS = {"clip_score": 3}


@contextmanager
def temporary_metrics(*specs: MetricSpec) -> Iterator[None]:
    """Register metrics, known or new, for a block; what the block itself registers is forgotten with them."""
    list_metrics()  # reads the entry points, if nothing did before
    before = dict(registry._specs)
    try:
        for spec in specs:
            register_metric(spec, replace=True)
        yield
    finally:
        registry._specs.clear()
        registry._specs.update(before)


def tiny(spec: MetricSpec) -> MetricSpec:
    """The same metric on a tiny encoder of the same kind."""
    encoder = replace(spec.encoder, architecture=_tiny_architecture(spec.encoder))
    head = spec.head
    if isinstance(head, MlpHeadSpec):
        width = small_clip.FEATURE_SIZE if encoder.reads_text else encoder_width(encoder)
        head = replace(head, widths=(head.joined_views * width, *head.widths[1:]))
    return replace(spec, encoder=encoder, head=head)


def _tiny_architecture(encoder: EncoderSpec) -> str:
    if not encoder.reads_text:
        return "test_vit" if encoder.architecture.startswith("vit") else "test_resnet"
    return small_clip.RESNET if encoder.architecture.startswith("RN") else small_clip.VIT_224


def build(name: str, **options: Any) -> Metric:
    """Create a metric on a tiny encoder with random weights; those that need no download are the real ones."""
    spec = metric_info(name)
    if isinstance(spec.encoder.weights, PackageFile):
        return create_metric(name, **options)
    with tempfile.TemporaryDirectory() as folder:
        small_clip.register(Path(folder))
    with temporary_metrics(tiny(spec)):
        return create_metric(name, weights=None, **{"seed": _SEEDS.get(name, 0)} | options)
