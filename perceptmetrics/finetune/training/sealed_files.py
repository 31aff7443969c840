"""Tensor files of a run, with a digest by which damage is noticed."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from perceptmetrics._util.atomic import replacing
from perceptmetrics.errors import WeightsError
from perceptmetrics.weights.fingerprints import fingerprint_of
from perceptmetrics.weights.tensor_files import read_metadata, read_tensors, save_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

__all__ = ["read_sealed", "write_sealed"]

_DIGEST = "digest"


def write_sealed(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> None:
    """Write tensors, notes and the digest of both atomically.

    Args:
        path: The file.
        tensors: Tensors by name, on the CPU.
        notes: Texts by name.

    Raises:
        FullDiskError: There is no room for it.
    """
    with replacing(path) as temporary:
        save_tensors(tensors, temporary, {**notes, _DIGEST: _digest(tensors, notes)})


def read_sealed(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `write_sealed` wrote. A file of an earlier version has no digest, and is only checked for its form.

    Returns:
        The tensors and the notes.

    Raises:
        WeightsError: The file is corrupt.
    """
    tensors, notes = read_tensors(path), read_metadata(path)
    expected = notes.pop(_DIGEST, None)
    if expected is not None and _digest(tensors, notes) != expected:
        raise WeightsError(f"the content of {path} does not match its digest")
    return tensors, notes


def _digest(tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps([sorted(notes.items()), fingerprint_of(tensors)]).encode()).hexdigest()
