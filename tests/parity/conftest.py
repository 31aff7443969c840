"""PerceptCLIP at full size: three files as released, with random weights, and the metrics made from them.

The files (1.2 GB each) are written once, and deleted with the cache that was filled from them.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from torch import Tensor

from perceptmetrics import Metric, create_metric
from perceptmetrics.images.examples import sample_photographs
from perceptmetrics.weights.cache import CACHE_VARIABLE
from tests.parity.reference_perceptclip import ReferencePerceptClip, load_released
from tests.support import full_size_perceptclip
from tests.support.full_size_perceptclip import EMOTION, MEMORABILITY, QUALITY, released_state, write_released

SETTINGS = {"perceptclip_iqa": QUALITY, "perceptclip_mem": MEMORABILITY, "perceptclip_emo": EMOTION}


@pytest.fixture(scope="package")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for large files, with the package's cache in it."""
    folder = tmp_path_factory.mktemp("perceptclip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder / "cache"))
        yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="package")
def states() -> Iterator[dict[str, dict[str, Tensor]]]:
    """All tensors of the three files, by metric."""
    yield {name: released_state(*setting) for name, setting in SETTINGS.items()}
    released_state.cache_clear()
    full_size_perceptclip._base_tower.cache_clear()
    gc.collect()


@pytest.fixture(scope="package")
def files(workplace: Path, states: dict[str, dict[str, Tensor]]) -> dict[str, Path]:
    """The three files, by metric."""
    paths = {name: workplace / f"{name}.pth" for name in states}
    for name, path in paths.items():
        write_released(path, states[name])
    return paths


@pytest.fixture(scope="package")
def references(states: dict[str, dict[str, Tensor]]) -> dict[str, ReferencePerceptClip]:
    return {name: load_released(state) for name, state in states.items()}


@pytest.fixture(scope="package")
def metrics(files: dict[str, Path]) -> dict[str, Metric]:
    return {name: create_metric(name, checkpoint=path) for name, path in files.items()}


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Four photographs of one size that is not square."""
    photographs = list(sample_photographs().values())[:4]
    return [photograph.resize((400, 300), Image.Resampling.LANCZOS) for photograph in photographs]
