"""Requests that follow the description, and requests that do not, never break the service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import positive_data_acceptance

from perceptmetrics.apps.service import create_app
from tests.service.server import listening
from tests.support.mean_colour_metric import tiny_metric

CASES = [
    ("POST", "/score", GenerationMode.POSITIVE, 50),
    ("POST", "/score", GenerationMode.NEGATIVE, 50),
    *(("GET", path, GenerationMode.POSITIVE, 1) for path in ("/metrics", "/health", "/ready")),
]


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app([tiny_metric()])


@pytest.fixture(scope="module")
def address(app: FastAPI) -> Iterator[str]:
    with listening(app) as found:
        yield found


@pytest.mark.parametrize(("method", "path", "mode", "examples"), CASES)
def test_every_answer_is_one_that_the_description_names(
    app: FastAPI, address: str, method: str, path: str, mode: GenerationMode, examples: int
) -> None:
    """In status, type and form; and none is a fault of the service."""
    api: Any = schemathesis.openapi.from_dict(app.openapi())

    @given(case=api[path][method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        # Bytes drawn at random are a string in binary format, but no image: those are refused.
        case.call_and_validate(base_url=address, excluded_checks=[positive_data_acceptance])

    ask()
