"""What every test may rely on: one thread in each worker, one width of output, folders that nobody else shares."""

from __future__ import annotations

import os

os.environ.pop("COLUMNS", None)  # readline exports it to workers; without a terminal, output is 160 columns wide
if "PYTEST_XDIST_WORKER" in os.environ:
    # Before anything imports PyTorch: two workers with two threads each on two processors take longer than with one.
    os.environ["OMP_NUM_THREADS"] = "1"

import gc
import re
import shutil
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from perceptmetrics.weights.cache import CACHE_VARIABLE
from perceptmetrics.weights.trust import STATE_VARIABLE
from tests.support import workers

if TYPE_CHECKING:
    from xdist.remote import Producer


def pytest_configure(config: pytest.Config) -> None:
    """No test reads or fills the user's Hugging Face cache, or asks the Hub; those marked `network` do both."""
    chosen = config.option.markexpr
    if not chosen or re.search(r"(?<!not )\bnetwork\b", chosen):
        return
    home = tempfile.mkdtemp(prefix="perceptmetrics-huggingface-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    for variable in ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ENDPOINT", "HF_TOKEN"):
        os.environ.pop(variable, None)
    os.environ |= {"HF_HOME": home, "HF_HUB_OFFLINE": "1"}


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    return workers.worker_count(config)


@pytest.hookimpl(tryfirst=True)  # before xdist's own choice
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> workers.ByFile | None:
    return workers.ByFile(config, log) if config.option.dist == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """No garbage collection goes through what was imported again: training asks for one after every stage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's own cache is neither read nor written: features of prompts from an earlier run would hide mistakes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        patch.setenv(STATE_VARIABLE, str(tmp_path_factory.mktemp("state")))
        yield
