"""CLIPs of the published kinds, so small that they build in a moment, with random weights in every tensor."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import open_clip
import torch
from torch import nn

from perceptmetrics.metrics.clipiqa import CLIPIQA

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from perceptmetrics.spec import MetricSpec, PositionalEmbedding

RESNET = "tiny-clip-resnet"
VIT = "tiny-clip-vit"
VIT_224 = "tiny-clip-vit-224"
IMAGE_SIZE = {RESNET: 96, VIT: 64, VIT_224: 224}
FEATURE_SIZE = 64

_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
_VISION = {
    RESNET: {"image_size": IMAGE_SIZE[RESNET], "layers": [1, 2, 1, 1], "width": 16, "patch_size": None},
    VIT: {"image_size": IMAGE_SIZE[VIT], "layers": 3, "width": 64, "head_width": 32, "patch_size": 16},
    VIT_224: {"image_size": IMAGE_SIZE[VIT_224], "layers": 3, "width": 64, "head_width": 32, "patch_size": 32},
}


def register(folder: Path) -> None:
    """Make the architectures known to open_clip."""
    for name, vision in _VISION.items():
        (folder / f"{name}.json").write_text(
            json.dumps({"embed_dim": FEATURE_SIZE, "vision_cfg": vision, "text_cfg": _TEXT})
        )
    open_clip.add_model_config(folder)


def build(architecture: str, *, quick_gelu: bool = True, seed: int = 0) -> open_clip.CLIP:
    """open_clip's own model: seeded, in eval mode, with statistics and biases that are not trivial."""
    config = open_clip.get_model_config(architecture) | {"quick_gelu": quick_gelu}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.CLIP(**config)
        enliven(model)
        calibrate(model.visual, torch.randn(4, 3, IMAGE_SIZE[architecture], IMAGE_SIZE[architecture]))
    return model.eval().requires_grad_(False)


@torch.no_grad()
def enliven(model: nn.Module) -> None:
    """Draw at random what initialisation leaves at zero or one, so that each tensor matters."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.3)
        if isinstance(module, nn.LayerNorm):
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.3)
        if isinstance(module, nn.Linear) and module.bias is not None:
            module.bias.normal_(0, 0.3)
        if isinstance(module, nn.MultiheadAttention):
            module.in_proj_bias.normal_(0, 0.3)
    for name, parameter in model.named_parameters():
        if name in ("token_embedding.weight", "positional_embedding"):
            parameter.mul_(20.0)


@torch.no_grad()
def calibrate(network: nn.Module, pixels: Tensor) -> None:
    """Take the statistics of batch normalisation from images; otherwise depth makes all images alike."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches since the reset
            module.reset_running_stats()
    network.train()
    network(pixels)
    network.eval()


def state(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the state dictionary; the model may be taken apart afterwards."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def spec(
    architecture: str, positional_embedding: PositionalEmbedding = "interpolate", *, quick_gelu: bool = True
) -> MetricSpec:
    """`clipiqa` on another backbone."""
    backbone = replace(
        CLIPIQA.encoder,
        architecture=architecture,
        positional_embedding=positional_embedding,
        quick_gelu=quick_gelu,
    )
    return replace(CLIPIQA, name=f"clipiqa_{architecture}", encoder=backbone)
