"""What another package brings to perceptmetrics: a metric of known kinds, and a method of a new shape, one file each.

The kinds are registered for a block only, so that other tests see the built-in ones alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from perceptmetrics import register_head, register_score_map, register_view
from perceptmetrics.spec.heads import HEADS
from perceptmetrics.spec.score_maps import SCORE_MAPS
from perceptmetrics.spec.views import VIEWS
from tests.external.clip_score import CLIP_SCORE
from tests.external.liqe import LIQE, ExpectationMap, LevelHead, StridedPatches
from tests.support.registered_metrics import temporary_metrics

__all__ = ["EXTERNAL_METRICS", "external_metrics"]

EXTERNAL_METRICS = (LIQE.name, CLIP_SCORE.name)


@contextmanager
def external_metrics() -> Iterator[None]:
    """Register the kinds and the metrics for a block."""
    register_view(StridedPatches)
    register_head(LevelHead)
    register_score_map(ExpectationMap)
    try:
        with temporary_metrics(LIQE, CLIP_SCORE):
            yield
    finally:
        VIEWS.unregister("strided_patches")
        HEADS.unregister("levels")
        SCORE_MAPS.unregister("outside_expectation")
