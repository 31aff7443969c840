"""What every test may rely on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from perceptmetrics.weights.cache import CACHE_VARIABLE


@pytest.fixture(scope="session", autouse=True)
def empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's own cache is neither read nor written: features of prompts from an earlier run would hide mistakes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield
