"""timm's own checkpoints (`model.safetensors` in the Hub's organisation `timm`): a network's state dictionary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.weights.layouts.strict import check_shapes, without_counters
from perceptmetrics.weights.tensor_files import read_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

__all__ = ["read_timm"]


def read_timm(
    path: Path, expected: Mapping[str, tuple[int, ...]], classifiers: tuple[str, ...], architecture: str
) -> dict[str, Tensor]:
    """Read the weights of a timm network without its classifier.

    Args:
        path: The file, with or without the classifier.
        expected: Names and shapes of the network's tensors without the classifier.
        classifiers: Names of its classifier modules, whose tensors are left out.
        architecture: Name of the network, for the error message.

    Returns:
        State dictionary in float32.

    Raises:
        WeightsError: The file is missing or corrupt, or its tensors are not those of the network.
    """
    dropped = tuple(f"{name}." for name in classifiers)
    tensors = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in without_counters(read_tensors(path)).items()
        if name in expected or not name.startswith(dropped)
    }
    check_shapes(tensors, expected, str(path), f"timm's {architecture}")
    return tensors
