"""Every registered metric."""

from __future__ import annotations

import pytest

from perceptmetrics import Metric, list_metrics
from tests.support.registered_metrics import build


@pytest.fixture(params=list_metrics())
def metric(request: pytest.FixtureRequest) -> Metric:
    """A registered metric."""
    return build(request.param)
