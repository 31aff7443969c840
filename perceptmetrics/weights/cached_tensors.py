"""Tensors in the cache, such as features of images and prompts, which are read only as they were written."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

from perceptmetrics._util.atomic import replacing
from perceptmetrics.errors import WeightsError
from perceptmetrics.weights.fingerprints import fingerprint_of
from perceptmetrics.weights.tensor_files import read_metadata, read_tensors, save_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

__all__ = ["keep_tensors", "recall_tensors"]

_FINGERPRINT = "fingerprint"

_log = logging.getLogger(__name__)


def keep_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors with their fingerprint, atomically.

    Raises:
        OSError: They cannot be written.
    """
    with replacing(path) as temporary:
        save_tensors(tensors, temporary, {_FINGERPRINT: fingerprint_of(tensors)})


def recall_tensors(path: Path) -> dict[str, Tensor] | None:
    """Read what `keep_tensors` wrote; None if it is missing, or is not what was written any more."""
    if not path.is_file():
        return None
    try:
        tensors = read_tensors(path)
        is_intact = fingerprint_of(tensors) == read_metadata(path).get(_FINGERPRINT)
    except (WeightsError, OSError):
        is_intact = False
    if not is_intact:
        _log.warning("%s in the cache is corrupt; its content is computed again.", path)
        return None
    with contextlib.suppress(OSError):  # a cache that can only be read
        os.utime(path)  # what was used last is removed last
    return tensors
