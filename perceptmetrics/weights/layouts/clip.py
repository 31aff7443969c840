"""CLIP in its published layouts, converted to open_clip's.

The canonical layout is open_clip's in float32: `visual.*` is the image encoder, the rest is the text encoder and
`logit_scale`. OpenAI's own files have the same names, in half precision and with three numbers about the architecture;
Hugging Face's `CLIPModel` folders have other names.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from perceptmetrics.errors import WeightsError
from perceptmetrics.weights.layouts.strict import some, without_counters
from perceptmetrics.weights.tensor_files import read_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from perceptmetrics.weights.layouts.signature import Shapes

__all__ = ["IMAGE_ENCODER", "clip_shapes", "read_clip", "read_image_encoder", "weight_file"]

IMAGE_ENCODER = "visual."
_OPENAI_CONSTANTS = ("input_resolution", "context_length", "vocab_size")
_HF_FILES = ("model.safetensors", "pytorch_model.bin")

# Hugging Face name -> open_clip name; q, k and v are fused separately.
_HF_RENAMES = (
    (r"^vision_model\.embeddings\.class_embedding$", "visual.class_embedding"),
    (r"^vision_model\.embeddings\.patch_embedding\.weight$", "visual.conv1.weight"),
    (r"^vision_model\.embeddings\.position_embedding\.weight$", "visual.positional_embedding"),
    (r"^vision_model\.pre_layrnorm\.", "visual.ln_pre."),
    (r"^vision_model\.post_layernorm\.", "visual.ln_post."),
    (r"^vision_model\.encoder\.layers\.", "visual.transformer.resblocks."),
    (r"^text_model\.embeddings\.token_embedding\.", "token_embedding."),
    (r"^text_model\.embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"^text_model\.final_layer_norm\.", "ln_final."),
    (r"^text_model\.encoder\.layers\.", "transformer.resblocks."),
    (r"\.layer_norm1\.", ".ln_1."),
    (r"\.layer_norm2\.", ".ln_2."),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
    (r"\.self_attn\.", ".attn."),
)
# Linear layers of Hugging Face; open_clip multiplies by these matrices from the right.
_HF_TRANSPOSED = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}
_QKV = re.compile(r"^(?P<block>.*\.attn)\.(?P<part>[qkv])_proj\.(?P<kind>weight|bias)$")


def read_clip(path: Path) -> dict[str, Tensor]:
    """Read the weights of a CLIP in any published layout.

    Args:
        path: An open_clip file (`.safetensors`, `.bin`), an OpenAI TorchScript archive or state dictionary
            (`.pt`), or a folder (or a file in it) of a Hugging Face `CLIPModel`.

    Returns:
        State dictionary in open_clip's layout, floating-point tensors in float32.

    Raises:
        WeightsError: The file is missing, corrupt, or not a CLIP.
    """
    tensors = _read_any_layout(path)
    if "logit_scale" not in tensors or not any(name.startswith(IMAGE_ENCODER) for name in tensors):
        raise WeightsError(
            f"{path} is not a CLIP: it has no 'logit_scale' or no image encoder ('visual.*' or 'vision_model.*'). "
            f"It holds {some(tensors)}."
        )
    return tensors


def read_image_encoder(path: Path) -> dict[str, Tensor]:
    """Read the image encoder of a CLIP in any published layout; the file may hold the text encoder too.

    Args:
        path: See `read_clip`.

    Returns:
        The tensors `visual.*` in open_clip's layout, floating-point tensors in float32.

    Raises:
        WeightsError: The file is missing, corrupt, or has no image encoder.
    """
    tensors = _read_any_layout(path)
    encoder = {name: tensor for name, tensor in tensors.items() if name.startswith(IMAGE_ENCODER)}
    if not encoder:
        raise WeightsError(
            f"{path} holds no image encoder of a CLIP ('visual.*' or 'vision_model.*'). It holds {some(tensors)}."
        )
    return encoder


def weight_file(path: Path) -> Path:
    """The file that holds the weights: the one inside a Hugging Face folder, else the path itself.

    Raises:
        WeightsError: The folder holds no such file.
    """
    if not path.is_dir():
        return path
    files = [path / name for name in _HF_FILES if (path / name).is_file()]
    if not files:
        raise WeightsError(
            f"The folder {path} holds neither {' nor '.join(_HF_FILES)}; expected a Hugging Face CLIP model."
        )
    return files[0]


def clip_shapes(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Names and shapes as `read_clip` would give them, of a file of these names and shapes.

    Args:
        shapes: Those of a file of any kind.

    Returns:
        Those of a CLIP in open_clip's layout; empty for a file that is none.
    """
    empty = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    try:
        tensors = _in_open_clip_layout(empty)
    except WeightsError:
        return {}
    if "logit_scale" not in tensors or not any(name.startswith(IMAGE_ENCODER) for name in tensors):
        return {}
    return {name: tuple(tensor.shape) for name, tensor in without_counters(tensors).items()}


def _read_any_layout(path: Path) -> dict[str, Tensor]:
    return _in_open_clip_layout(read_tensors(weight_file(path)))


def _in_open_clip_layout(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if any(name.startswith("vision_model.") for name in tensors):
        tensors = _from_hugging_face(tensors)
    return {
        name: tensor.to(torch.float32) if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
        if name not in _OPENAI_CONSTANTS
    }


def _from_hugging_face(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    fused: dict[tuple[str, str], dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.endswith("position_ids"):
            continue
        if name in _HF_TRANSPOSED:
            renamed[_HF_TRANSPOSED[name]] = tensor.T.contiguous()
            continue
        for pattern, replacement in _HF_RENAMES:
            name = re.sub(pattern, replacement, name)
        match = _QKV.match(name)
        if match:
            fused.setdefault((match["block"], match["kind"]), {})[match["part"]] = tensor
        else:
            renamed[name] = tensor
    for (block, kind), parts in fused.items():
        if set(parts) != set("qkv"):
            raise WeightsError(f"The attention {block} has a {kind} for {sorted(parts)} only; expected q, k and v.")
        renamed[f"{block}.in_proj_{kind}"] = torch.cat([parts[part] for part in "qkv"])
    return renamed
