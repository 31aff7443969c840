"""Folding batch normalisation into the convolution before it.

In a frozen network both are one affine map, so folding them saves a pass over every feature map. Rounding
differs by about one part in a million.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from perceptmetrics.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

__all__ = ["can_fold", "fold_batch_norms", "unfold_batch_norms"]

# Each convolution and the normalisation that directly follows it, as the attributes of one module are named
# in open_clip's ModifiedResNet and in timm's EfficientNet.
_FOLLOWERS = {
    "ModifiedResNet": {"conv1": "bn1", "conv2": "bn2", "conv3": "bn3"},
    "Bottleneck": {"conv1": "bn1", "conv2": "bn2", "conv3": "bn3"},
    "Sequential": {"0": "1"},
    "EfficientNet": {"conv_stem": "bn1", "conv_head": "bn2"},
    "EfficientNetFeatures": {"conv_stem": "bn1"},
    "DepthwiseSeparableConv": {"conv_dw": "bn1", "conv_pw": "bn2"},
    "InvertedResidual": {"conv_pw": "bn1", "conv_dw": "bn2", "conv_pwl": "bn3"},
}


def fold_batch_norms(network: nn.Module) -> None:
    """Fold every batch normalisation of a network into its convolution, in place.

    Args:
        network: A network of the module types named above, in eval mode.

    Raises:
        WeightsError: A batch normalisation is left over: this release does not know the architecture.
    """
    left = _norms_left_over(network)
    if left:
        raise WeightsError(f"Batch normalisation {left[0]} of {type(network).__name__} follows no known convolution.")
    for conv_path, norm_path in list(_pairs(network)):
        conv, norm = network.get_submodule(conv_path), network.get_submodule(norm_path)
        _fold(cast("nn.Conv2d", conv), cast("nn.BatchNorm2d", norm))
        parent, _, name = norm_path.rpartition(".")
        # timm's normalisation carries the activation that follows it.
        setattr(network.get_submodule(parent), name, getattr(norm, "act", None) or nn.Identity())


def can_fold(network: nn.Module) -> bool:
    """Whether each batch normalisation of a network follows a convolution that this release knows."""
    return not _norms_left_over(network)


def unfold_batch_norms(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Write the weights of a folded network as the network that was folded would have them.

    A convolution keeps its folded weight, and its bias becomes that of a normalisation that does nothing else: folding
    gives the very same weights again.

    Args:
        state: State dictionary of the folded network; tensors of other networks are left alone.
        network: The network before it was folded (its weights are not looked at, they may be on the meta device).

    Returns:
        The state dictionary with the network's own names.
    """
    unfolded = dict(state)
    for conv_path, norm_path in _pairs(network):
        conv, norm = network.get_submodule(conv_path), cast("nn.BatchNorm2d", network.get_submodule(norm_path))
        if f"{norm_path}.running_var" in state:  # it was not folded
            continue
        bias = unfolded.pop(f"{conv_path}.bias")
        if conv.bias is not None:
            unfolded[f"{conv_path}.bias"] = torch.zeros_like(bias)
        unfolded[f"{norm_path}.weight"] = torch.ones_like(bias)
        unfolded[f"{norm_path}.bias"] = bias
        unfolded[f"{norm_path}.running_mean"] = torch.zeros_like(bias)
        unfolded[f"{norm_path}.running_var"] = torch.full_like(bias, 1 - norm.eps)
    return unfolded


def _pairs(network: nn.Module) -> Iterator[tuple[str, str]]:
    """Paths of the convolutions and of the batch normalisations that directly follow them."""
    for path, module in network.named_modules():
        for conv_name, norm_name in _FOLLOWERS.get(type(module).__name__, {}).items():
            conv, norm = getattr(module, conv_name, None), getattr(module, norm_name, None)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                prefix = f"{path}." if path else ""
                yield prefix + conv_name, prefix + norm_name


def _norms_left_over(network: nn.Module) -> list[str]:
    """Batch normalisations that follow no convolution that is known."""
    known = {norm for _, norm in _pairs(network)}
    norms = [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    return [name for name in norms if name not in known]


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    if norm.running_mean is None or norm.running_var is None:
        raise WeightsError("A batch normalisation without running statistics cannot be folded.")
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
