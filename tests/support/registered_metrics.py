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
from perceptmetrics.spec import MlpHeadSpec, sources
from tests.support import small_clip


@contextmanager
def temporary_metrics(*specs: MetricSpec) -> Iterator[None]:
    """Register metrics, known or new, for a block; what the block itself registers is forgotten with them."""
    list_metrics()  # reads the entry points, if nothing did before
    before, trusted = dict(registry._specs), set(sources._trusted_packages)
    try:
        for spec in specs:
            register_metric(spec, replace=True)
        yield
    finally:
        registry._specs.clear()
        registry._specs.update(before)
        sources._trusted_packages.intersection_update(trusted)


def tiny(spec: MetricSpec) -> MetricSpec:
    """The same metric on a tiny CLIP."""
    architecture = small_clip.RESNET if spec.encoder.architecture.startswith("RN") else small_clip.VIT_224
    head = spec.head
    if isinstance(head, MlpHeadSpec):
        head = replace(head, widths=(small_clip.FEATURE_SIZE, *head.widths[1:]))
    return replace(spec, encoder=replace(spec.encoder, architecture=architecture), head=head)


def build(name: str, **options: Any) -> Metric:
    """Create a registered metric; those without CLIP are the real ones."""
    spec = metric_info(name)
    if not spec.encoder.reads_text:
        return create_metric(name, **options)
    with tempfile.TemporaryDirectory() as folder:
        small_clip.register(Path(folder))
    with temporary_metrics(tiny(spec)):
        return create_metric(name, weights=None, **options)
