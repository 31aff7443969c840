"""Every registered metric, and those of an external package."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from perceptmetrics import Metric, list_metrics
from tests.external import EXTERNAL_METRICS, external_metrics
from tests.support.registered_metrics import build


@pytest.fixture(params=[*list_metrics(), *EXTERNAL_METRICS])
def metric(request: pytest.FixtureRequest) -> Iterator[Metric]:
    """A registered metric; one that reads prompts as it is with a prompt for all images."""
    if request.param not in EXTERNAL_METRICS:
        yield build(request.param)
        return
    with external_metrics():
        yield build(request.param)
