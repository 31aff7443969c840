"""Each layout is built once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.datasets.layouts import BUILDERS, Expected


@pytest.fixture(scope="session", params=BUILDERS, ids=lambda builder: builder.__name__)
def layout(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Expected:
    """A small copy of a data set; not to be changed."""
    builder: Callable[[Path], Expected] = request.param
    return builder(tmp_path_factory.mktemp(builder.__name__))


@pytest.fixture(
    params=[builder for builder in BUILDERS if builder.__name__ not in ("live_realigned", "ladders", "livec_ladders")]
)
def changeable(request: pytest.FixtureRequest, tmp_path: Path) -> Expected:
    """A copy that the test may damage."""
    made: Expected = request.param(tmp_path)
    return made
