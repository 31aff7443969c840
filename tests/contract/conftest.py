"""Every registered metric, and those of an external package."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import fields, is_dataclass

import pytest

from perceptmetrics import Metric, list_metrics, metric_info
from tests.external import EXTERNAL_METRICS, external_metrics
from tests.support.registered_metrics import build, tiny


@pytest.fixture(scope="module", params=[*list_metrics(), *EXTERNAL_METRICS])
def metric(request: pytest.FixtureRequest) -> Iterator[Metric]:
    """A registered metric, which no test may change; one that reads prompts gets a prompt for all images."""
    if request.param not in EXTERNAL_METRICS:
        yield build(request.param)
        return
    with external_metrics():
        yield build(request.param)


def one_of_each_network() -> list[str]:
    """Names of metrics, without those whose network differs from another one's in the values of its numbers alone."""
    networks: dict[Hashable, str] = {}
    with external_metrics():
        for name in [*list_metrics(), *EXTERNAL_METRICS]:
            spec = tiny(metric_info(name))
            parts = (spec.views, spec.encoder, spec.head, spec.pool, spec.score.map, spec.score.labels)
            networks.setdefault(_structure(parts), name)
    return list(networks.values())


def _structure(value: object) -> Hashable:
    if is_dataclass(value):
        inside = [_structure(getattr(value, field.name)) for field in fields(value) if field.name != "weights"]
        return (type(value), *inside)
    if isinstance(value, tuple):
        return tuple(map(_structure, value))
    assert isinstance(value, Hashable)
    return float if isinstance(value, float) else value
