"""Seeded random PerceptCLIP weights, full size, whose scores differ clearly between photographs.

With default initialisation a deep transformer maps every photograph to nearly the same feature, attention is
uniform and activations stay where GELU and QuickGELU agree: a parity test would pass whatever the implementation
does. Here queries and keys are large enough for attention to choose, LoRA is switched on, every gain and bias
differs from its neutral value, and the head is calibrated on photographs: the mean feature is subtracted and the
raw outputs get a given mean and spread.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from perceptmetrics.images.examples import sample_photographs
from tests.parity.reference_perceptclip import load_released, preprocess_whole, released_shapes

# Arguments of `released_state` for models like the three released ones.
QUALITY = (1, 5, -1.7, 0.8)
MEMORABILITY = (1, 7, 0.6, 0.25)
EMOTION = (8, 3, 0.0, 1.0)

BASE_SEED = 0
# Standard deviation of a layer's outputs when its inputs have standard deviation 1; otherwise 1. Branches (out_proj
# and mlp.fc2) stay smaller than the trunk, as in trained networks: otherwise float32 rounding alone turns the
# gradient.
GAINS = {
    "q_proj.base_layer": 1.4,
    "k_proj.base_layer": 1.4,
    "lora_B.default": 0.8,
    "self_attn.out_proj": 0.5,
    ".mlp.fc2": 0.8,
}


@lru_cache(maxsize=4)
def released_state(outputs: int, seed: int, mean: float = 0.6, spread: float = 0.25) -> dict[str, Tensor]:
    """State dictionary in the released layout, float32; raw outputs have about this mean and spread on photographs.

    LoRA and the head depend on the seed; the other tensors (1.2 GB) are one and the same object in all states, as
    the released models share them bit for bit. Do not modify them.
    """
    # Cached, so it must not depend on who asks first: inference tensors could never be trained or differentiated.
    with torch.inference_mode(mode=False), torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        shapes = {name: shape for name, shape in released_shapes(outputs).items() if _belongs_to_task(name)}
        state = _base_tower() | {name: _random(name, shapes[name], generator) for name in sorted(shapes)}
        pixels = torch.stack([preprocess_whole(image) for image in sample_photographs().values()])
        _calibrate_head(state, load_released(state).features(pixels), mean, spread)
        return state


def write_released(path: Path, state: dict[str, Tensor]) -> None:
    """Save as the release does: a pickled OrderedDict of tensors in a zip archive."""
    torch.save(OrderedDict(state), path)


def _belongs_to_task(name: str) -> bool:
    return ".lora_" in name or name.startswith("mlp.")


@lru_cache(maxsize=1)
def _base_tower() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(BASE_SEED)
    shapes = {name: shape for name, shape in released_shapes(1).items() if not _belongs_to_task(name)}
    return {name: _random(name, shapes[name], generator) for name in sorted(shapes)}


def _random(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    tensor = torch.empty(shape)
    if "norm" in name and name.endswith("weight"):
        return tensor.uniform_(0.5, 1.5, generator=generator)
    if name.endswith(".mlp.fc1.bias"):
        return tensor.normal_(0.0, 2.0, generator=generator)  # where GELU and QuickGELU differ most
    if name.endswith("bias"):
        return tensor.normal_(0.0, 0.2, generator=generator)
    if name.endswith("class_embedding"):
        return tensor.normal_(0.0, 1.0, generator=generator)
    if name.endswith("position_embedding.weight"):
        return tensor.normal_(0.0, 0.5, generator=generator)
    gain = next((gain for part, gain in GAINS.items() if part in name), 1.0)
    bound = gain * (3 / tensor[0].numel()) ** 0.5
    tensor.uniform_(-bound, bound, generator=generator)
    if "patch_embedding" in name:
        # Filters less sensitive to brightness than to texture, as trained ones are: they notice resampling.
        tensor -= 0.5 * tensor.mean(dim=(2, 3), keepdim=True)
    return tensor


def _calibrate_head(state: dict[str, Tensor], features: Tensor, mean: float, spread: float) -> None:
    centre = features.mean(dim=0)
    state["mlp.fc1.weight"] /= (features - centre).square().mean().sqrt()
    state["mlp.fc1.bias"] -= state["mlp.fc1.weight"] @ centre
    hidden = F.linear(features, state["mlp.fc1.weight"], state["mlp.fc1.bias"]).relu()
    hidden = F.linear(hidden, state["mlp.fc2.weight"], state["mlp.fc2.bias"]).relu()
    state["mlp.fc3.weight"] *= (spread / (hidden @ state["mlp.fc3.weight"].T).std(dim=0))[:, None]
    outputs = hidden @ state["mlp.fc3.weight"].T
    state["mlp.fc3.bias"] += mean - outputs.mean(dim=0) - state["mlp.fc3.bias"].mean()
