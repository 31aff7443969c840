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

from perceptmetrics.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["SharedTensor", "SharedTensors", "own_what_trains", "share"]


class SharedTensor:
    """A tensor that several encoders may use, and whether it still is what it was.

    PyTorch counts changes of a tensor in place. The parameter that uses a tensor counts together with it, also after it
    was given memory of its own; from then on the count says nothing any more.

    Args:
        tensor: The tensor.
    """

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self._version: int | None = tensor._version  # noqa: SLF001 - how PyTorch tells changes in place

    @property
    def is_known(self) -> bool:
        """Whether the tensor surely is what it was."""
        return self.tensor._version == self._version  # noqa: SLF001

    @property
    def is_changed(self) -> bool:
        """Whether the tensor surely was changed in place."""
        return self._version is not None and not self.is_known

    def leave(self) -> None:
        """Count no longer: a parameter that used the tensor has memory of its own, and may change it."""
        self._version = None


_pool: WeakValueDictionary[tuple[str, torch.device, torch.dtype], SharedTensor] = WeakValueDictionary()
_lock = Lock()


class SharedTensors:
    """Keeps the shared tensors of an encoder in the pool. It is not copied or pickled with the encoder.

    Args:
        shared: The tensors.
    """

    def __init__(self, shared: Iterable[SharedTensor] = ()) -> None:
        self._shared = list(shared)

    def __reduce__(self) -> tuple[type[SharedTensors], tuple[()]]:
        return SharedTensors, ()

    def __len__(self) -> int:
        return len(self._shared)

    def forget_unused(self, module: nn.Module) -> None:
        """Let go of the tensors that a module no longer has, since they were replaced by others."""
        used = {parameter.data_ptr() for parameter in module.parameters()}
        self._shared = [shared for shared in self._shared if shared.tensor.data_ptr() in used]

    def with_copy(self, module: nn.Module) -> SharedTensors:
        """Share all parameters of a module with a copy of it that uses the very same memory.

        Returns:
            What the copy shares.
        """
        known = {shared.tensor.data_ptr() for shared in self._shared}
        self._shared += [
            SharedTensor(weight.detach()) for weight in module.parameters() if weight.data_ptr() not in known
        ]
        return SharedTensors(self._shared)

    def separate(self, module: nn.Module) -> None:
        """Give a module copies of its own of the tensors that it shares, so that they can be changed."""
        addresses = {shared.tensor.data_ptr() for shared in self._shared}
        for parameter in module.parameters():
            if parameter.data_ptr() in addresses:
                parameter.data = parameter.data.clone()
        for shared in self._shared:
            shared.leave()
        self._shared = []

    def check_unchanged(self) -> None:
        """Check that no shared tensor was changed in place, through whichever encoder.

        Raises:
            WeightsError: One was.
        """
        if any(shared.is_changed for shared in self._shared):
            raise WeightsError(
                "Weights that this metric shares with other metrics of the same encoder were changed in place, which "
                "changes the scores of all of them. Make the metrics again with create_metric. Before you change the "
                "weights of one, call requires_grad_(True) on it, which gives it weights of its own."
            )


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
    kept: list[SharedTensor] = []
    with _lock:
        for name, tensor in tensors.items():
            wanted = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
            digest = digests.get(name)
            if digest is None:
                placed[name] = tensor.to(device=device, dtype=wanted)
                continue
            key = (digest, torch.device(device) if device is not None else tensor.device, wanted)
            shared = _pool.get(key)
            if shared is None or not shared.is_known:  # or else somebody may have trained it in place
                shared = SharedTensor(tensor.to(device=device, dtype=wanted))
                _pool[key] = shared
            placed[name] = shared.tensor
            kept.append(shared)
    return placed, SharedTensors(kept)


def own_what_trains(module: nn.Module) -> None:
    """Give the weights of a module that train memory of their own, in case copies of the module use it too."""
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.clone()
