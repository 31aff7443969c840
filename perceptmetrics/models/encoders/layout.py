"""An encoder's weights under the names, and in the form, in which the library that built it keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from perceptmetrics.models.encoders.build import empty_tower, tower_names
from perceptmetrics.models.encoders.fold import unfold_batch_norms
from perceptmetrics.models.encoders.timm_network import TimmBackbone
from perceptmetrics.weights.layouts import IMAGE_TOWER, check_shapes
from perceptmetrics.weights.layouts.strict import without_counters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from perceptmetrics.spec import BackboneSpec

__all__ = ["is_folded", "library_state"]

# Ours -> open_clip's. Inside a vision transformer only the attention differs.
_RESNET_RENAMES = {"trunk.": IMAGE_TOWER, "pool.": f"{IMAGE_TOWER}attnpool."}
_IN_PROJ = (".in_proj.weight", ".in_proj.bias")


def library_state(state: Mapping[str, Tensor], spec: BackboneSpec) -> dict[str, Tensor]:
    """Bring the weights of an encoder to its library's layout, as files hold them.

    Batch normalisations that were folded are written as ones that add the bias and nothing else, so that what is
    built from the file has the very same weights. A positional embedding that was dropped is written as zeros.

    Args:
        state: State dictionary of an encoder of this package, without adapters.
        spec: What it was built from.

    Returns:
        Tensors in float32 on the CPU: `visual.*` for a CLIP, the network's own names for timm.

    Raises:
        WeightsError: The weights are not those of such an encoder.
    """
    tensors = _renamed(state, spec)
    network = empty_tower(spec)
    tensors = unfold_batch_norms(tensors, network)
    expected = {name: tuple(tensor.shape) for name, tensor in without_counters(network.state_dict()).items()}
    dropped = "attnpool.positional_embedding"
    if spec.positional_embedding == "drop" and dropped in expected and dropped not in tensors:
        tensors[dropped] = torch.zeros(expected[dropped])
    check_shapes(tensors, expected, "the encoder", f"its specification ({spec.architecture})")
    return {name: tensors[own].contiguous() for own, name in tower_names(spec, network).items()}


def is_folded(state: Mapping[str, Tensor], spec: BackboneSpec) -> bool:
    """Whether the weights of an encoder have batch normalisations folded into them, which `library_state` unfolds."""
    expected = without_counters(empty_tower(spec).state_dict())
    return any(name.endswith("running_var") and name not in _renamed(state, spec) for name in expected)


def _renamed(state: Mapping[str, Tensor], spec: BackboneSpec) -> dict[str, Tensor]:
    """Tensors by their names inside the library's own network, in float32 on the CPU."""
    tensors = {
        name: tensor.detach().to(device="cpu", dtype=torch.float32 if tensor.is_floating_point() else None)
        for name, tensor in without_counters(state).items()
    }
    if spec.library == "timm":
        return {name.removeprefix(TimmBackbone.library_prefix): tensor for name, tensor in tensors.items()}
    return {_in_open_clip(name): tensor for name, tensor in tensors.items()}


def _in_open_clip(name: str) -> str:
    """Name inside open_clip's image tower."""
    for ours, theirs in _RESNET_RENAMES.items():
        if name.startswith(ours):
            name = theirs + name.removeprefix(ours)
    for ours in _IN_PROJ:
        if name.endswith(ours):
            name = name.removesuffix(ours) + ours.replace("in_proj.", "in_proj_")
    return name.removeprefix(IMAGE_TOWER)
