"""From a `BackboneSpec` and a weight file to a frozen encoder."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import open_clip
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import QuickGELU

from perceptmetrics._util.seeding import seeded
from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.models.encoders.build_timm import (
    empty_network,
    file_names,
    random_network,
    read_timm_encoder,
    timm_encoder,
)
from perceptmetrics.models.encoders.clip_resnet import ClipResNet
from perceptmetrics.models.encoders.clip_text import TextEncoder
from perceptmetrics.models.encoders.clip_vit import ClipVisionTransformer
from perceptmetrics.models.shared_tensors import share
from perceptmetrics.weights.fingerprints import digests_of
from perceptmetrics.weights.layouts import IMAGE_TOWER, load_strictly, read_clip, read_image_tower, weight_file
from perceptmetrics.weights.layouts.strict import without_counters

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from perceptmetrics.models.encoders.base import Backbone
    from perceptmetrics.spec import BackboneSpec

__all__ = [
    "LoadedBackbone",
    "Placement",
    "TowerWeights",
    "build_backbone",
    "build_image_tower",
    "empty_tower",
    "feature_size_of",
    "image_tower_shapes",
    "read_tower_weights",
    "tower_names",
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
    """An encoder's tensors: those of the image tower of a CLIP, or of a timm network without its classifier.

    Attributes:
        tensors: State dictionary in the library's layout (`visual.*` for a CLIP), float32.
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
        tower = None if weights is None else read_tower_weights(weights, spec)
        return LoadedBackbone(build_image_tower(spec, tower, seed, placement), None)
    model = _empty_clip(spec) if weights is not None else _random_clip(spec, seed)
    if weights is None:
        return LoadedBackbone(_placed(_encoder(model.visual, spec), placement), TextEncoder(model))
    tensors = read_clip(weights)
    load_strictly(model, tensors, str(weights))
    model.attn_mask = _causal_mask(model.context_length)  # a buffer that no file holds
    text = TextEncoder(model)
    if isinstance(model.visual, ModifiedResNet):
        return LoadedBackbone(_placed(_encoder(model.visual, spec), placement), text)
    visual = {name: tensor for name, tensor in tensors.items() if name.startswith(IMAGE_TOWER)}
    return LoadedBackbone(build_image_tower(spec, _tower_weights(visual, weights), placement=placement), text)


def read_tower_weights(weights: Path, spec: BackboneSpec) -> TowerWeights:
    """Read an encoder's weight file; of a CLIP, the text tower is not looked at, of others no classifier.

    Raises:
        WeightsError: The file is missing, damaged, or does not hold such an encoder.
    """
    tower = read_timm_encoder(weights, spec) if spec.library == "timm" else read_image_tower(weights)
    return _tower_weights(tower, weights)


def _tower_weights(tower: Mapping[str, Tensor], weights: Path) -> TowerWeights:
    return TowerWeights(tower, digests_of(tower, weight_file(weights)), str(weights))


def build_image_tower(
    spec: BackboneSpec, weights: TowerWeights | None, seed: int = 0, placement: Placement = AS_IT_IS
) -> Backbone:
    """Build an encoder alone: the image tower of a CLIP, or a network of timm.

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
        return _placed(_encoder(_random_tower(spec, seed), spec), placement)
    network = empty_tower(spec)
    names = tower_names(spec, network)
    parameters = {names[name] for name, _ in network.named_parameters()}  # buffers are everybody's own
    digests = {name: digest for name, digest in weights.digests.items() if name in parameters}
    tensors, shared = share(weights.tensors, digests, *placement)
    own_names = {name: own for own, name in names.items()}
    load_strictly(network, {own_names.get(name, name): tensor for name, tensor in tensors.items()}, weights.origin)
    encoder = _placed(_encoder(network, spec), placement)
    encoder.shared = shared
    shared.forget_unused(encoder)  # what was folded
    return encoder


@lru_cache
def feature_size_of(spec: BackboneSpec) -> int:
    """Length of an encoder's feature vectors. It is built, but without memory for its weights."""
    return _encoder(empty_tower(spec), spec).feature_size


def empty_tower(spec: BackboneSpec) -> nn.Module:
    """The library's own network, without memory for its weights: open_clip's image tower, or timm's network."""
    network: nn.Module = empty_network(spec) if spec.library == "timm" else _empty_clip(spec).visual
    return network


def tower_names(spec: BackboneSpec, network: nn.Module) -> dict[str, str]:
    """Names in files by the names inside of what `empty_tower` gives; batch counters are left out."""
    if spec.library == "timm":
        return file_names(spec, network)
    return {name: IMAGE_TOWER + name for name in without_counters(network.state_dict())}


def image_tower_shapes(spec: BackboneSpec) -> dict[str, tuple[int, ...]]:
    """Names and shapes of an encoder's tensors as files hold them, in the library's layout (`visual.*` for a CLIP)."""
    network = empty_tower(spec)
    state = network.state_dict()
    return {name: tuple(state[own].shape) for own, name in tower_names(spec, network).items()}


def _placed(encoder: Backbone, placement: Placement) -> Backbone:
    return encoder.to(device=placement.device, dtype=placement.dtype)


def _encoder(network: nn.Module, spec: BackboneSpec) -> Backbone:
    network.requires_grad_(False)
    if spec.library == "timm":
        return timm_encoder(network, spec)
    mode = spec.positional_embedding
    if mode is None:
        raise InvalidSpecError("BackboneSpec.positional_embedding of a CLIP must be stated.")
    tower = ClipResNet if isinstance(network, ModifiedResNet) else ClipVisionTransformer
    return tower(network, mode).eval()


def _random_tower(spec: BackboneSpec, seed: int) -> nn.Module:
    network: nn.Module = random_network(spec, seed) if spec.library == "timm" else _random_clip(spec, seed).visual
    return network


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
