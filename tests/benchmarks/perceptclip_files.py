"""PerceptCLIP files of full size for the benchmarks: as released, with seeded random weights, and the slim ones."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from perceptmetrics import metric_info
from perceptmetrics.factory.tuned_encoder import read_tuned
from perceptmetrics.spec import HubFile, MlpHeadSpec
from perceptmetrics.weights.cache import CACHE_VARIABLE
from tests.parity.reference_perceptclip import ReferencePerceptClip, load_released
from tests.support import full_size_perceptclip
from tests.support.full_size_perceptclip import EMOTION, MEMORABILITY, QUALITY, released_state, write_released

QUALITY_METRIC, MEMORABILITY_METRIC, EMOTION_METRIC = "perceptclip_iqa", "perceptclip_mem", "perceptclip_emo"
SETTINGS = {QUALITY_METRIC: QUALITY, MEMORABILITY_METRIC: MEMORABILITY, EMOTION_METRIC: EMOTION}


@dataclass(frozen=True, kw_only=True)
class PerceptClipFiles:
    """The files of the three metrics.

    Attributes:
        released: Files as released (.pth), by metric.
        slim: Adapters and head alone, by metric; the encoder that they need is in the cache.
    """

    released: dict[str, Path]
    slim: dict[str, Path]

    def reference(self, name: str) -> ReferencePerceptClip:
        """The independent implementation with the weights of a released file."""
        return load_released(torch.load(self.released[name], weights_only=True))


@contextmanager
def perceptclip_files(folder: Path | None) -> Iterator[PerceptClipFiles]:
    """Provide the files, with a warm cache beside them.

    Args:
        folder: Where they are, or are to be written and kept, with a subfolder `cache`; about 5 GB. None for a
            temporary folder, which needs as much.

    Yields:
        The files. `PERCEPTMETRICS_CACHE` is set to the cache meanwhile, for this process and those that it starts.
    """
    with tempfile.TemporaryDirectory() as temporary:
        home = (folder or Path(temporary)).resolve()
        home.mkdir(parents=True, exist_ok=True)
        before = os.environ.get(CACHE_VARIABLE)
        os.environ[CACHE_VARIABLE] = str(home / "cache")
        try:
            released = {name: home / _released_name(name) for name in SETTINGS}
            _write_missing(released)
            yield PerceptClipFiles(released=released, slim={name: _slim(name, released[name]) for name in released})
        finally:
            del os.environ[CACHE_VARIABLE]
            if before is not None:
                os.environ[CACHE_VARIABLE] = before


def _released_name(name: str) -> str:
    head = metric_info(name).head
    assert isinstance(head, MlpHeadSpec)
    assert isinstance(head.weights, HubFile)
    return head.weights.filename


def _write_missing(released: dict[str, Path]) -> None:
    for name, path in released.items():
        if not path.is_file():
            write_released(path, released_state(*SETTINGS[name]))
    released_state.cache_clear()
    full_size_perceptclip._base_tower.cache_clear()
    gc.collect()


def _slim(name: str, released: Path) -> Path:
    """The slim file that the first use of a released file leaves in the cache."""
    return read_tuned(released, metric_info(name)).path
