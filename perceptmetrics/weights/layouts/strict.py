"""Load tensors that must fit exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from perceptmetrics.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["check_shapes", "load_strictly", "some", "without_counters"]

_COUNTER = "num_batches_tracked"  # of batch normalisations; a frozen model ignores it, and files often lack it


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Load a state dictionary that must fit exactly.

    The tensors themselves become the parameters, so a memory-mapped file is not copied.

    Args:
        module: The module; its parameters may be on the meta device.
        tensors: State dictionary.
        origin: Where the tensors come from, for the error message.

    Raises:
        WeightsError: A tensor is missing, unexpected or of another shape; the message names it.
    """
    state = module.state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in without_counters(state).items()}
    given = without_counters(tensors)
    check_shapes(given, expected, origin, type(module).__name__)
    counters = {name: torch.zeros((), dtype=torch.long) for name in state if name.endswith(_COUNTER)}
    module.load_state_dict({**given, **counters}, strict=True, assign=True)


def check_shapes(given: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], origin: str, what: str) -> None:
    """Check that names and shapes of tensors are exactly those expected.

    Args:
        given: Tensors by name.
        expected: Shapes by name.
        origin: Where the tensors come from, for the error message.
        what: What they should fit, for the error message.

    Raises:
        WeightsError: A tensor is missing, unexpected or of another shape; the message names it.
    """
    problems = []
    if missing := expected.keys() - given.keys():
        problems.append(f"missing {some(missing)}")
    if unexpected := given.keys() - expected.keys():
        problems.append(f"unexpected {some(unexpected)}")
    problems += [
        f"{name} has shape {tuple(given[name].shape)}, expected {shape}"
        for name, shape in expected.items()
        if name in given and tuple(given[name].shape) != shape
    ][:3]
    if problems:
        raise WeightsError(
            f"The weights of {origin} do not fit {what}: {'; '.join(problems)}. "
            "Check that the file belongs to this architecture."
        )


def without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors without the batch counters of batch normalisation."""
    return {name: tensor for name, tensor in tensors.items() if not name.endswith(_COUNTER)}


def some(names: Iterable[str], most: int = 3) -> str:
    """The first few names, and the number of the others."""
    ordered = sorted(names)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return f"{', '.join(ordered[:most])}{more}"
