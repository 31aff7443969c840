"""Identify weights by their content: the same tensors have one fingerprint in any file and layout."""

from __future__ import annotations

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch

from perceptmetrics.weights.cache import remember_of_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

__all__ = ["digests_of", "fingerprint", "fingerprint_of", "is_fingerprint"]

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def digests_of(tensors: Mapping[str, Tensor], path: Path) -> dict[str, str]:
    """Hash tensors one by one, or recall their hashes if the file they were read from has not changed.

    Args:
        tensors: Tensors by name, on the CPU, as read from `path`, in any layout.
        path: The file.

    Returns:
        The sha256 of type, shape and content of each tensor, by name.
    """

    def is_valid(value: object) -> bool:
        return (
            isinstance(value, dict)
            and value.keys() == tensors.keys()
            and all(is_fingerprint(digest) for digest in value.values())
        )

    return remember_of_file("digests", path, lambda: _digests(tensors), is_valid)


def fingerprint(digests: Mapping[str, str]) -> str:
    """One hash for a whole model, over names and tensors, independent of their order.

    Args:
        digests: What `digests_of` returned.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()


def fingerprint_of(tensors: Mapping[str, Tensor]) -> str:
    """Fingerprint of tensors that do not come from a file.

    Args:
        tensors: Tensors by name, on the CPU.

    Returns:
        The same as `fingerprint(digests_of(tensors, path))` for a file of these tensors.
    """
    return fingerprint(_digests(tensors))


def is_fingerprint(value: object) -> bool:
    """Whether a value has the form of a fingerprint."""
    return isinstance(value, str) and _FINGERPRINT.fullmatch(value) is not None


def _digests(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # hashing releases the GIL
        return dict(zip(tensors, pool.map(_digest, tensors.values()), strict=True))


def _digest(tensor: Tensor) -> str:
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    content = tensor.detach().contiguous().reshape(-1)
    if content.stride(0) != 1:  # a single number of an expanded tensor
        content = content.clone(memory_format=torch.contiguous_format)
    content = content.view(torch.uint8).numpy()
    digest.update(content.data)
    return digest.hexdigest()
