"""Pictures, an encoder and a recipe that every test may use but not change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from perceptmetrics.datasets import LabelledImages
from perceptmetrics.finetune import Recipe, RunResult, finetune
from tests.finetune.tiny import encoder_file, hurry, rated, tiny_recipe, write_pictures


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encoder_file(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"), 40)


@pytest.fixture(scope="session")
def few_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("few"), 12, seed=1)


@pytest.fixture
def data(pictures: Path) -> LabelledImages:
    return rated(pictures)


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Recipe]:
    return lambda *settings: tiny_recipe(tmp_path, *settings)


@pytest.fixture
def train(encoder: Path) -> Callable[..., RunResult]:
    """`finetune` with the tiny encoder, on the CPU."""

    def run(*arguments: Any, **options: Any) -> RunResult:
        return finetune(*arguments, **{"device": "cpu", "backbone_checkpoint": encoder} | options)

    run.encoder = encoder  # type: ignore[attr-defined]
    return run


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for what these tests do not look at."""
    hurry(monkeypatch.setattr)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Results are compared bit by bit, with those of other processes too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
