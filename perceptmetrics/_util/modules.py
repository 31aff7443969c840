"""Modes of PyTorch and of its modules, switched for a while."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = ["evaluating", "on_cpu_unless_stated", "transforming"]


@contextmanager
def on_cpu_unless_stated() -> Iterator[None]:
    """Make tensors on the CPU, whatever default device the caller has set (`with torch.device("meta")`)."""
    if torch.get_default_device().type == "cpu":
        yield
        return
    with torch.device("cpu"):
        yield


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode; afterwards each of its parts returns to its former mode."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


def transforming() -> bool:
    """Whether a transformation of `torch.func` is at work, such as `vmap`.

    It knows neither memory formats nor autograd functions of our own. Not to be asked while a compiler traces.
    """
    stack: object = torch._C._functorch.peek_interpreter_stack()  # noqa: SLF001 - there is no public question
    return stack is not None
