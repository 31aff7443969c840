"""The released PerceptCLIP files: a Hugging Face CLIP image encoder with peft's LoRA, not merged, and the head.

Zalcher et al., "Don't Judge Before You CLIP", TMLR 2025, arXiv 2503.13260; the files of the Hub organisation
`PerceptCLIP`. 542 tensors in float32, in PyTorch's pickle format, which is read with `weights_only=True`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from perceptmetrics.errors import WeightsError
from perceptmetrics.weights.layouts.signature import FileSignature
from perceptmetrics.weights.layouts.strict import check_shapes
from perceptmetrics.weights.layouts.trained import TrainedWeights

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perceptmetrics.weights.layouts.signature import Shapes

__all__ = ["is_released_perceptclip", "read_released_perceptclip", "released_signature"]

_ENCODER = "model.base_model.model."
_PROJECTION = "proj.weight"
_PARTS = ("q", "k", "v")

# Our names -> theirs, inside a block of the encoder.
_BLOCK = re.compile(r"^visual\.transformer\.resblocks\.(\d+)\.(.+)$")
_IN_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
# Our names -> theirs, outside the blocks. (`pre_layrnorm` is their spelling.)
_OUTSIDE = {
    "visual.class_embedding": "embeddings.class_embedding",
    "visual.conv1.weight": "embeddings.patch_embedding.weight",
    "visual.positional_embedding": "embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "pre_layrnorm.weight",
    "visual.ln_pre.bias": "pre_layrnorm.bias",
    "visual.ln_post.weight": "post_layernorm.weight",
    "visual.ln_post.bias": "post_layernorm.bias",
}
_FUSED = re.compile(r"^attn\.in_proj_(weight|bias)$")
_ADAPTER = re.compile(r"^attn\.([qkv])\.(down|up)$")
_HEAD_LAYER = re.compile(r"^layers\.(\d+)\.(weight|bias)$")


class _Published(NamedTuple):
    """How a released file stores one of our tensors."""

    names: tuple[str, ...]  # of the tensors that make it up, stacked along the first dimension
    transposed: bool = False


def is_released_perceptclip(names: Iterable[str]) -> bool:
    """Whether tensors of these names are in the released layout."""
    return any(name.startswith(_ENCODER) for name in names)


def released_signature(head: Shapes) -> FileSignature:
    """What a released file looks like whose head has these names and shapes."""
    layers = _head_layers(head)
    return FileSignature(
        what="a released PerceptCLIP",
        shapes={_published_head(name, layers): shape for name, shape in head.items()},
        others=(_ENCODER, _PROJECTION),
    )


def read_released_perceptclip(
    tensors: Mapping[str, Tensor],
    origin: str,
    *,
    encoder: Mapping[str, tuple[int, ...]],
    lora: Mapping[str, tuple[int, ...]],
    head: Mapping[str, tuple[int, ...]],
) -> TrainedWeights:
    """Convert the tensors of a released file to this package's names.

    Args:
        tensors: All tensors of the file.
        origin: The file, for the error message.
        encoder: Names and shapes of the image encoder in open_clip's layout (`visual.*`).
        lora: Names and shapes of the adapters, see `lora.adapter_shapes`.
        head: Names and shapes of the head.

    Returns:
        The three parts in float32. Tensors that are stored the same way are not copied.

    Raises:
        WeightsError: A tensor is missing, unexpected or of another shape; the message names it as the file does.
    """
    # Older releases of transformers also stored the positions 0, 1, 2, ...
    given = {name: tensor for name, tensor in tensors.items() if not name.endswith("embeddings.position_ids")}
    layers = _head_layers(head)
    stored = {
        "encoder": {name: _published_encoder(name) for name in encoder},
        "lora": {name: _Published((_published_adapter(name),)) for name in lora},
        "head": {name: _Published((_published_head(name, layers),)) for name in head},
    }
    shapes = {"encoder": encoder, "lora": lora, "head": head}
    expected = {
        source: shape
        for part, names in stored.items()
        for name, published in names.items()
        for source, shape in _published_shapes(published, shapes[part][name])
    }
    check_shapes(given, expected, origin, "a released PerceptCLIP")
    joined = {
        part: {name: _join(given, published) for name, published in names.items()} for part, names in stored.items()
    }
    return TrainedWeights(head=joined["head"], lora=joined["lora"], encoder=joined["encoder"])


def _head_layers(head: Iterable[str]) -> list[int]:
    return sorted({int(match[1]) for name in head if (match := _HEAD_LAYER.match(name))})


def _published_encoder(name: str) -> _Published:
    if name == "visual.proj":
        return _Published((_PROJECTION,), transposed=True)
    if name in _OUTSIDE:
        return _Published((_ENCODER + _OUTSIDE[name],))
    block, inside = _inside_block(name)
    if match := _FUSED.match(inside):
        return _Published(tuple(f"{block}self_attn.{part}_proj.base_layer.{match[1]}" for part in _PARTS))
    module, _, kind = inside.rpartition(".")
    return _Published((f"{block}{_IN_BLOCK[module]}.{kind}",))


def _published_adapter(name: str) -> str:
    block, inside = _inside_block(name)
    match = _ADAPTER.match(inside)
    if match is None:
        raise WeightsError(f"The released layout has no tensor for the adapter {name!r}.")
    return f"{block}self_attn.{match[1]}_proj.lora_{'A' if match[2] == 'down' else 'B'}.default.weight"


def _published_head(name: str, layers: list[int]) -> str:
    match = _HEAD_LAYER.match(name)
    if match is None:
        raise WeightsError(f"The released layout has no tensor for the head's {name!r}.")
    return f"mlp.fc{layers.index(int(match[1])) + 1}.{match[2]}"


def _inside_block(name: str) -> tuple[str, str]:
    """The released prefix of a tensor's block, and the tensor's name inside the block."""
    match = _BLOCK.match(name)
    if match is None:
        raise WeightsError(f"The released layout has no tensor for {name!r}.")
    return f"{_ENCODER}encoder.layers.{match[1]}.", match[2]


def _published_shapes(published: _Published, shape: tuple[int, ...]) -> Iterable[tuple[str, tuple[int, ...]]]:
    if published.transposed:
        shape = shape[::-1]
    each = (shape[0] // len(published.names), *shape[1:])
    return ((name, each) for name in published.names)


def _join(given: Mapping[str, Tensor], published: _Published) -> Tensor:
    pieces = [given[name].float() for name in published.names]
    joined = torch.cat(pieces) if len(pieces) > 1 else pieces[0]
    return joined.T.contiguous() if published.transposed else joined
