"""One copy in memory of the tensors that several encoders of a process have in common.

Metrics that LoRA tuned from the same CLIP differ in the projections of their attention only. Every other tensor is
taken from a pool, which knows tensors by the hash of their content, and each device and precision separately. The pool
holds nothing alive: a tensor goes when the last encoder that uses it goes.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["SharedTensors", "share"]

_pool: WeakValueDictionary[tuple[str, torch.device, torch.dtype], Tensor] = WeakValueDictionary()
_versions: dict[tuple[str, torch.device, torch.dtype], int] = {}
_lock = Lock()


class SharedTensors:
    """Keeps the shared tensors of an encoder in the pool. It is not copied or pickled with the encoder.

    Args:
        tensors: The tensors.
    """

    def __init__(self, tensors: Iterable[Tensor] = ()) -> None:
        self._tensors = list(tensors)

    def __reduce__(self) -> tuple[type[SharedTensors], tuple[()]]:
        return SharedTensors, ()

    def forget_unused(self, module: nn.Module) -> None:
        """Let go of the tensors that a module no longer has, since they were replaced by others."""
        used = {parameter.data_ptr() for parameter in module.parameters()}
        self._tensors = [tensor for tensor in self._tensors if tensor.data_ptr() in used]

    def separate(self, module: nn.Module) -> None:
        """Give a module copies of its own of the tensors that it shares, so that they can be changed."""
        shared = {tensor.data_ptr() for tensor in self._tensors}
        for parameter in module.parameters():
            if parameter.data_ptr() in shared:
                parameter.data = parameter.data.clone()
        self._tensors = []


def share(
    tensors: Mapping[str, Tensor],
    digests: Mapping[str, str],
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[dict[str, Tensor], SharedTensors]:
    """Replace tensors by those of the same content that are in memory already.

    Args:
        tensors: Tensors by name.
        digests: Hashes of the content of those that may be shared, by name, as `fingerprints.digests_of` gives them.
        device: Where they are wanted; None for where they are.
        dtype: In which precision floating-point tensors are wanted; None for their own.

    Returns:
        The tensors on that device in that precision, and what keeps the shared ones in the pool.
    """
    placed: dict[str, Tensor] = {}
    with _lock:
        for name, tensor in tensors.items():
            wanted = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
            digest = digests.get(name)
            key = (digest or "", torch.device(device) if device is not None else tensor.device, wanted)
            found = _unchanged(key) if digest else None
            placed[name] = tensor.to(device=device, dtype=wanted) if found is None else found
            if digest:
                _pool[key] = placed[name]
                _versions[key] = placed[name]._version  # noqa: SLF001 - how PyTorch tells changes in place
    return placed, SharedTensors(tensor for name, tensor in placed.items() if name in digests)


def _unchanged(key: tuple[str, torch.device, torch.dtype]) -> Tensor | None:
    """What is in the pool, unless somebody has trained it in place."""
    found = _pool.get(key)
    return found if found is not None and found._version == _versions[key] else None  # noqa: SLF001
