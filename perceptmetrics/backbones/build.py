"""From a `BackboneSpec` and a weight file to a frozen encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import open_clip
import timm
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import QuickGELU

from perceptmetrics.backbones.clip_resnet import ClipResNet
from perceptmetrics.backbones.clip_text import TextEncoder
from perceptmetrics.backbones.clip_vit import ClipVisionTransformer
from perceptmetrics.backbones.timm_stages import TimmStages
from perceptmetrics.checkpoints import load_strictly, read_clip, read_efficientnet_lite0
from perceptmetrics.errors import InvalidSpecError, WeightsError
from perceptmetrics.seeding import seeded

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from perceptmetrics.backbones.base import Backbone
    from perceptmetrics.spec import BackboneSpec

__all__ = ["LoadedBackbone", "build_backbone"]

# What open_clip's configurations of CLIPs in OpenAI's manner consist of; other keys mean another tokenizer,
# text tower or layout.
_CLIP_KEYS = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}
_TEXT_KEYS = {"context_length", "vocab_size", "width", "heads", "layers"}


class LoadedBackbone(NamedTuple):
    """An encoder and, for a CLIP, its text tower."""

    backbone: Backbone
    text: TextEncoder | None


def build_backbone(spec: BackboneSpec, weights: Path | None, seed: int = 0) -> LoadedBackbone:
    """Build an encoder.

    Args:
        spec: What to build.
        weights: Its weight file; None for random weights, which score nothing meaningful.
        seed: Seed of the random weights.

    Returns:
        The encoder in eval mode.

    Raises:
        WeightsError: The file does not fit the architecture.
        InvalidSpecError: The library does not know the architecture, or builds it otherwise than specified.
    """
    if spec.library == "timm":
        return LoadedBackbone(_build_timm(spec, weights, seed), None)
    model = _build_clip(spec, weights, seed)
    mode = spec.positional_embedding
    if mode is None:
        raise InvalidSpecError("BackboneSpec.positional_embedding of a CLIP must be stated.")
    tower = ClipResNet if isinstance(model.visual, ModifiedResNet) else ClipVisionTransformer
    return LoadedBackbone(tower(model.visual, mode).eval(), TextEncoder(model))


def _build_clip(spec: BackboneSpec, weights: Path | None, seed: int) -> open_clip.CLIP:
    config = _clip_config(spec)
    if weights is None:
        with seeded(seed):
            model = open_clip.CLIP(**config)
    else:
        with torch.device("meta"):
            model = open_clip.CLIP(**config)
        load_strictly(model, read_clip(weights), str(weights))
        model.attn_mask = _causal_mask(model.context_length)  # a buffer that no file holds
    _check_quick_gelu(model, spec)
    return model.eval().requires_grad_(False)


def _clip_config(spec: BackboneSpec) -> dict[str, Any]:
    """Arguments of `open_clip.CLIP`. Never asks open_clip for a name outside its list, which it might download."""
    if spec.architecture not in open_clip.list_models():
        raise InvalidSpecError(f"open_clip has no architecture {spec.architecture!r}; see open_clip.list_models().")
    config: dict[str, Any] = open_clip.get_model_config(spec.architecture)
    foreign = (config.keys() - _CLIP_KEYS) | (config["text_cfg"].keys() - _TEXT_KEYS)
    foreign |= {key for key in config["vision_cfg"] if key.startswith("timm_")}
    if foreign:
        raise InvalidSpecError(
            f"{spec.architecture!r} is no CLIP as OpenAI built it: its configuration has {', '.join(sorted(foreign))}. "
            "Only a ResNet or a vision transformer with CLIP's own text tower is supported."
        )
    if config.get("quick_gelu") and not spec.quick_gelu:
        raise InvalidSpecError(
            f"The architecture {spec.architecture!r} has QuickGELU, but its specification states quick_gelu=False. "
            "State the activation that the weights were trained with."
        )
    return config | {"quick_gelu": spec.quick_gelu}


def _causal_mask(length: int) -> torch.Tensor:
    return torch.full((length, length), float("-inf")).triu_(1)


def _check_quick_gelu(model: nn.Module, spec: BackboneSpec) -> None:
    built = any(isinstance(module, QuickGELU) for module in model.modules())
    if built != spec.quick_gelu:
        raise InvalidSpecError(
            f"{spec.architecture} was built with{'' if built else 'out'} QuickGELU, but its specification states "
            f"quick_gelu={spec.quick_gelu}. State the activation that the weights were trained with."
        )


def _build_timm(spec: BackboneSpec, weights: Path | None, seed: int) -> Backbone:
    if not timm.is_model(spec.architecture):
        raise InvalidSpecError(f"timm has no architecture {spec.architecture!r}; see timm.list_models().")
    if spec.quick_gelu:
        raise InvalidSpecError(f"timm builds {spec.architecture} without QuickGELU; state quick_gelu=False.")
    with seeded(seed):
        network = timm.create_model(spec.architecture, pretrained=False, features_only=True)
    if weights is not None:
        if spec.architecture != "tf_efficientnet_lite0":
            raise WeightsError(f"No file layout is known for the timm architecture {spec.architecture!r}.")
        with torch.device("meta"):
            whole = timm.create_model(spec.architecture, pretrained=False)
        tensors = read_efficientnet_lite0(weights, whole)
        stages = network.state_dict().keys()
        load_strictly(network, {name: tensors[name] for name in tensors if name in stages}, str(weights))
    return TimmStages(network.requires_grad_(False)).eval()
