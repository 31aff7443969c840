"""Seeded random CLIPs whose scores differ clearly between photographs.

With PyTorch's default initialisation a deep network maps every photograph to nearly the same feature, the score
is nearly constant, and a parity test would pass whatever the implementation does. Here the batch statistics are
calibrated on photographs, no branch is switched off, and the mean feature is subtracted, so that what remains
is what tells photographs apart.
"""

from __future__ import annotations

from functools import lru_cache

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.support.photographs import photographs


@lru_cache(maxsize=2)
def random_clip_state(architecture: str = "RN50", seed: int = 0) -> dict[str, Tensor]:
    """State dictionary of a full-size CLIP in open_clip's (and OpenAI's) layout, float32."""
    torch.manual_seed(seed)
    config = open_clip.get_model_config(architecture)
    model = open_clip.CLIP(**config, quick_gelu=True)
    with torch.no_grad():
        _liven_up(model)
        images = photographs(224, 224)
        model.train()
        model.visual(images)
        model.eval()
        features = model.visual(images)
        model.visual.attnpool.c_proj.bias -= features.mean(dim=0)
        model.logit_scale.fill_(torch.tensor(100.0).log())
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def random_vit_clip_state(architecture: str = "ViT-L-14", seed: int = 0, side: int = 98) -> dict[str, Tensor]:
    """The same for a vision transformer, calibrated on small squares, whose embedding is interpolated.

    The caller keeps it for as long as it is needed: ViT-L/14 takes 1.7 GB.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = open_clip.CLIP(**open_clip.get_model_config(architecture), quick_gelu=True).eval()
        for name, module in model.named_modules():
            if isinstance(module, nn.LayerNorm):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0.0, 0.2)
            if name.endswith("mlp.c_fc"):
                module.weight.mul_(3.0)  # reach the range in which GELU and QuickGELU differ
        model.token_embedding.weight.mul_(10.0)
        visual = model.visual
        visual.positional_embedding.mul_(3.0)
        images = photographs(side, side)
        table = visual.positional_embedding.data
        tokens = 1 + (side // visual.patch_size[0]) ** 2
        visual.positional_embedding.data = F.interpolate(table[None, None], (tokens, table.shape[1]), mode="bicubic")[
            0, 0
        ]
        visual.proj, projection = None, visual.proj
        visual.ln_post.bias -= visual(images).mean(dim=0)
        visual.proj, visual.positional_embedding.data = projection, table
        model.logit_scale.fill_(torch.tensor(100.0).log())
    return {name: tensor.detach() for name, tensor in model.state_dict().items()}


def _liven_up(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # statistics of the calibration batch alone
            # Residual branches smaller than the trunk, as in trained networks: otherwise the gradient of fifty
            # random layers is so ill-conditioned that float32 rounding alone turns it.
            low, high = (0.1, 0.3) if name.endswith("bn3") and "layer" in name else (0.5, 1.0)
            module.weight.uniform_(low, high)
            module.bias.normal_(0.0, 0.2)
        if name.endswith("mlp.c_fc"):
            module.weight.mul_(3.0)  # reach the range in which GELU and QuickGELU differ
    for name, parameter in model.named_parameters():
        if name == "token_embedding.weight":
            parameter.mul_(10.0)
        if "attnpool" in name and "proj.weight" in name:
            parameter.mul_(2.0)
        if name.endswith("attnpool.positional_embedding"):
            parameter.mul_(30.0)  # about the size of the features, as in the trained model
