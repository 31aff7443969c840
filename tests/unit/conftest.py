"""Metrics on tiny CLIPs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import save_file

from perceptmetrics.metrics import BUILTIN_SPECS
from perceptmetrics.weights.cache import CACHE_VARIABLE
from tests.support import released_files, small_clip
from tests.support.registered_metrics import temporary_metrics, tiny


@pytest.fixture
def tiny_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let every registered metric with a CLIP take a tiny one, start with an empty cache; gives a ResNet's file."""
    small_clip.register(tmp_path)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    path = tmp_path / "clip.safetensors"
    save_file(small_clip.state(small_clip.build(small_clip.RESNET)), path)
    with temporary_metrics(*(tiny(spec) for spec in BUILTIN_SPECS if spec.encoder.library == "open_clip")):
        yield path


@pytest.fixture(scope="module")
def tiny_metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the PerceptCLIP metrics take a tiny CLIP, whose released files `tiny_perceptclip` writes."""
    with released_files.registered(tmp_path_factory.mktemp("configurations")):
        yield


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, empty."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"
