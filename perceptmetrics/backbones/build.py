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
from perceptmetrics.checkpoints import (
    IMAGE_TOWER,
    load_strictly,
    read_clip,
    read_efficientnet_lite0,
    read_image_tower,
    weight_file,
)
from perceptmetrics.errors import InvalidSpecError, WeightsError
from perceptmetrics.fingerprints import digests_of
from perceptmetrics.seeding import seeded
from perceptmetrics.sharing import share

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from perceptmetrics.backbones.base import Backbone
    from perceptmetrics.spec import BackboneSpec

__all__ = [
    "LoadedBackbone",
    "Placement",
    "TowerWeights",
    "build_backbone",
    "build_image_tower",
    "image_tower_shapes",
    "read_tower_weights",
]

# What open_clip's configurations of CLIPs in OpenAI's manner consist of; other keys mean another tokenizer,
# text tower or layout.
_CLIP_KEYS = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}
_TEXT_KEYS = {"context_length", "vocab_size", "width", "heads", "layers"}


class LoadedBackbone(NamedTuple):
    """An encoder and, for a CLIP, its text tower."""

    backbone: Backbone
    text: TextEncoder | None


class Placement(NamedTuple):
    """Where an encoder is wanted, and in which precision; None for the CPU and float32."""

    device: torch.device | str | None = None
    dtype: torch.dtype | None = None


AS_IT_IS = Placement()


class TowerWeights(NamedTuple):
    """The image tower of a CLIP.

    Attributes:
        tensors: State dictionary in open_clip's layout (`visual.*`), float32.
        digests: Hashes of the content, by name, of those tensors that other encoders may have too.
        origin: Where they come from, for error messages.
    """

    tensors: Mapping[str, Tensor]
    digests: Mapping[str, str]
    origin: str


def build_backbone(
    spec: BackboneSpec, weights: Path | None, seed: int = 0, placement: Placement = AS_IT_IS
) -> LoadedBackbone:
    """Build an encoder from its weight file; a CLIP with its text tower.

    Args:
        spec: What to build. Adapters (`spec.lora`) are not in such a file and not looked at.
        weights: Its weight file; None for random weights, which score nothing meaningful.
        seed: Seed of the random weights.
        placement: Where the encoder is wanted, and in which precision. The text tower stays as it is.

    Returns:
        The encoder in eval mode.

    Raises:
        WeightsError: The file does not fit the architecture.
        InvalidSpecError: The library does not know the architecture, or builds it otherwise than specified.
    """
    if spec.library == "timm":
        return LoadedBackbone(_placed(_build_timm(spec, weights, seed), placement), None)
    model = _empty_clip(spec) if weights is not None else _random_clip(spec, seed)
    if weights is None:
        return LoadedBackbone(_placed(_encoder(model.visual, spec), placement), TextEncoder(model))
    tensors = read_clip(weights)
    load_strictly(model, tensors, str(weights))
    model.attn_mask = _causal_mask(model.context_length)  # a buffer that no file holds
    text = TextEncoder(model)
    if isinstance(model.visual, ModifiedResNet):
        return LoadedBackbone(_placed(_encoder(model.visual, spec), placement), text)
    tower = {name: tensor for name, tensor in tensors.items() if name.startswith(IMAGE_TOWER)}
    return LoadedBackbone(build_image_tower(spec, _tower_weights(tower, weights), placement=placement), text)


def read_tower_weights(weights: Path) -> TowerWeights:
    """Read the image tower of a CLIP's weight file; the text tower is not looked at.

    Raises:
        WeightsError: The file is missing, damaged, or has no image tower.
    """
    return _tower_weights(read_image_tower(weights), weights)


def _tower_weights(tower: Mapping[str, Tensor], weights: Path) -> TowerWeights:
    return TowerWeights(tower, digests_of(tower, weight_file(weights)), str(weights))


def build_image_tower(
    spec: BackboneSpec, weights: TowerWeights | None, seed: int = 0, placement: Placement = AS_IT_IS
) -> Backbone:
    """Build the image tower of a CLIP alone.

    Args:
        spec: What to build.
        weights: Its tensors; None for random weights, which score nothing meaningful. Tensors that are in memory
            already, on the same device and in the same precision, are shared.
        seed: Seed of the random weights.
        placement: Where the encoder is wanted, and in which precision.

    Returns:
        The encoder in eval mode.

    Raises:
        WeightsError: The tensors do not fit the architecture.
        InvalidSpecError: The library does not know the architecture, or builds it otherwise than specified.
    """
    if weights is None:
        return _placed(_encoder(_random_clip(spec, seed).visual, spec), placement)
    visual = _empty_clip(spec).visual
    tensors, shared = share(weights.tensors, weights.digests, *placement)
    load_strictly(visual, {name.removeprefix(IMAGE_TOWER): tensors[name] for name in tensors}, weights.origin)
    encoder = _placed(_encoder(visual, spec), placement)
    encoder.shared = shared
    return encoder


def image_tower_shapes(spec: BackboneSpec) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of a CLIP's image tower, in open_clip's layout (`visual.*`)."""
    state = _empty_clip(spec).visual.state_dict()
    return {IMAGE_TOWER + name: tuple(tensor.shape) for name, tensor in state.items()}


def _placed(encoder: Backbone, placement: Placement) -> Backbone:
    return encoder.to(device=placement.device, dtype=placement.dtype)


def _encoder(visual: nn.Module, spec: BackboneSpec) -> Backbone:
    mode = spec.positional_embedding
    if mode is None:
        raise InvalidSpecError("BackboneSpec.positional_embedding of a CLIP must be stated.")
    tower = ClipResNet if isinstance(visual, ModifiedResNet) else ClipVisionTransformer
    return tower(visual, mode).eval().requires_grad_(False)


def _random_clip(spec: BackboneSpec, seed: int) -> open_clip.CLIP:
    with seeded(seed):
        model = open_clip.CLIP(**_clip_config(spec))
    return _checked(model, spec)


def _empty_clip(spec: BackboneSpec) -> open_clip.CLIP:
    """A CLIP without memory for its weights, which are loaded by assignment."""
    with torch.device("meta"):
        model = open_clip.CLIP(**_clip_config(spec))
    return _checked(model, spec)


def _checked(model: open_clip.CLIP, spec: BackboneSpec) -> open_clip.CLIP:
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
