"""An encoder's weights under the names, and in the form, in which the library that built it keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from perceptmetrics.models.encoders.base import builder_of
from perceptmetrics.models.encoders.fold import unfold_batch_norms
from perceptmetrics.weights.layouts import check_shapes
from perceptmetrics.weights.layouts.strict import without_counters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from perceptmetrics.spec import EncoderSpec

__all__ = ["is_folded", "library_state"]


def library_state(state: Mapping[str, Tensor], spec: EncoderSpec) -> dict[str, Tensor]:
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
    builder = builder_of(spec)
    network = builder.empty_network(spec)
    tensors = unfold_batch_norms(tensors, network)
    expected = {name: tuple(tensor.shape) for name, tensor in without_counters(network.state_dict()).items()}
    dropped = "attnpool.positional_embedding"
    is_dropped = getattr(spec, "positional_embedding", None) == "drop"
    if is_dropped and dropped in expected and dropped not in tensors:
        tensors[dropped] = torch.zeros(expected[dropped])
    check_shapes(tensors, expected, "the encoder", f"its specification ({spec.architecture})")
    return {name: tensors[own].contiguous() for own, name in builder.file_names(spec, network).items()}


def is_folded(state: Mapping[str, Tensor], spec: EncoderSpec) -> bool:
    """Whether the weights of an encoder have batch normalisations folded into them, which `library_state` unfolds."""
    expected = without_counters(builder_of(spec).empty_network(spec).state_dict())
    return any(name.endswith("running_var") and name not in _renamed(state, spec) for name in expected)


def _renamed(state: Mapping[str, Tensor], spec: EncoderSpec) -> dict[str, Tensor]:
    """Tensors by their names inside the library's own network, in float32 on the CPU."""
    tensors = {
        name: tensor.detach().to(device="cpu", dtype=torch.float32 if tensor.is_floating_point() else None)
        for name, tensor in without_counters(state).items()
    }
    network_name = builder_of(spec).network_name
    return {network_name(name): tensor for name, tensor in tensors.items()}
