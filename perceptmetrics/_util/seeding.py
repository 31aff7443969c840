"""Random numbers from a seed, without touching the random state of anybody else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let this thread draw the weights and other numbers that PyTorch draws on the CPU from a generator of its own.

    The numbers are those that `torch.manual_seed(seed)` would lead to. The generators of PyTorch, which all threads
    share, are neither read nor changed, whatever other threads draw meanwhile.
    """
    with _OwnGenerator(seed):
        yield


class _OwnGenerator(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Passes a generator to every operation on the CPU that draws numbers and was given none."""

    def __init__(self, seed: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags and _on_cpu(args, kwargs) and not kwargs.get("generator"):
            overload = _with_generator(func)
            if overload is not None:
                return overload(*args, **{**kwargs, "generator": self._generator})
        return func(*args, **kwargs)


def _on_cpu(args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    stated = torch.device(kwargs.get("device") or "cpu")
    return next((value.device for value in args if isinstance(value, Tensor)), stated).type == "cpu"


def _with_generator(func: Any) -> Any:
    """The overload of an operation that takes a generator; None where there is none, as for attention."""
    if any(argument.name == "generator" for argument in func._schema.arguments):  # noqa: SLF001
        return func
    overload = func._overloadname  # noqa: SLF001 - such as "low" of `randint`
    name = "generator" if overload == "default" else f"{overload}_generator"
    return getattr(func.overloadpacket, name, None)
