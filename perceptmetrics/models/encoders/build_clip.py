"""The image encoders of CLIPs as OpenAI built them: networks of open_clip.

It takes seconds to import, so it is imported where a CLIP is built and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from perceptmetrics._util.seeding import seeded
from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.models.encoders.base import EncoderBuilder, register_encoder
from perceptmetrics.models.encoders.clip_resnet import ClipResNet
from perceptmetrics.models.encoders.clip_text import TextEncoder
from perceptmetrics.models.encoders.clip_vit import ClipVisionTransformer
from perceptmetrics.spec import ClipEncoderSpec
from perceptmetrics.weights.layouts import IMAGE_ENCODER, load_strictly, read_clip, read_image_encoder
from perceptmetrics.weights.layouts.strict import without_counters

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import open_clip
    from torch import Tensor, nn

    from perceptmetrics.models.encoders.base import Encoder

__all__ = ["ClipBuilder"]

# What open_clip's configurations of CLIPs in OpenAI's manner consist of; other keys mean another tokenizer,
# text encoder or layout.
_CLIP_KEYS = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}
_TEXT_KEYS = {"context_length", "vocab_size", "width", "heads", "layers"}

# Ours -> open_clip's. Inside a vision transformer only the attention differs.
_RESNET_RENAMES = {"trunk.": IMAGE_ENCODER, "pool.": f"{IMAGE_ENCODER}attnpool."}
_IN_PROJ = (".in_proj.weight", ".in_proj.bias")


class ClipBuilder(EncoderBuilder[ClipEncoderSpec]):
    """Builds the image encoder of a CLIP, with its text encoder where that is asked for."""

    spec_class = ClipEncoderSpec

    def empty_network(self, spec: ClipEncoderSpec) -> nn.Module:
        """open_clip's image encoder."""
        network: nn.Module = _empty_clip(spec).visual
        return network

    def random_network(self, spec: ClipEncoderSpec, seed: int) -> nn.Module:
        """open_clip's image encoder, of a CLIP that is drawn whole."""
        network: nn.Module = _random_clip(spec, seed).visual
        return network

    def wrap(self, network: nn.Module, spec: ClipEncoderSpec) -> Encoder:
        """At any image size."""
        from open_clip.modified_resnet import ModifiedResNet

        encoder = ClipResNet if isinstance(network, ModifiedResNet) else ClipVisionTransformer
        return encoder(network, spec.positional_embedding).eval()

    def read(self, path: Path, spec: ClipEncoderSpec) -> Mapping[str, Tensor]:
        """`visual.*`; the text encoder is not looked at."""
        return read_image_encoder(path)

    def file_names(self, spec: ClipEncoderSpec, network: nn.Module) -> dict[str, str]:
        """`visual.*`."""
        return {name: IMAGE_ENCODER + name for name in without_counters(network.state_dict())}

    def network_name(self, name: str) -> str:
        """Name inside open_clip's image encoder."""
        for ours, theirs in _RESNET_RENAMES.items():
            if name.startswith(ours):
                name = theirs + name.removeprefix(ours)
        for ours in _IN_PROJ:
            if name.endswith(ours):
                name = name.removesuffix(ours) + ours.replace("in_proj.", "in_proj_")
        return name.removeprefix(IMAGE_ENCODER)

    def text_channels(self, spec: ClipEncoderSpec) -> int:
        """As open_clip's configuration states."""
        return int(_clip_config(spec)["text_cfg"]["width"])

    def read_with_text(self, path: Path, spec: ClipEncoderSpec) -> tuple[Mapping[str, Tensor], TextEncoder]:
        """The image encoder's tensors and the text encoder, from one reading of the file."""
        model = _empty_clip(spec)
        tensors = read_clip(path)
        load_strictly(model, tensors, str(path))
        model.attn_mask = _causal_mask(model.context_length)  # a buffer that no file holds
        image = {name: tensor for name, tensor in tensors.items() if name.startswith(IMAGE_ENCODER)}
        return image, TextEncoder(model)

    def random_with_text(self, spec: ClipEncoderSpec, seed: int) -> tuple[nn.Module, TextEncoder]:
        """Both encoders, drawn together."""
        model = _random_clip(spec, seed)
        return model.visual, TextEncoder(model)


def _random_clip(spec: ClipEncoderSpec, seed: int) -> open_clip.CLIP:
    import open_clip

    with seeded(seed):
        model = open_clip.CLIP(**_clip_config(spec))
    return _checked(model, spec)


def _empty_clip(spec: ClipEncoderSpec) -> open_clip.CLIP:
    """A CLIP without memory for its weights, which are loaded by assignment."""
    import open_clip

    with torch.device("meta"):
        model = open_clip.CLIP(**_clip_config(spec))
    return _checked(model, spec)


def _checked(model: open_clip.CLIP, spec: ClipEncoderSpec) -> open_clip.CLIP:
    _check_quick_gelu(model, spec)
    return model.eval().requires_grad_(False)


def _clip_config(spec: ClipEncoderSpec) -> dict[str, Any]:
    """Arguments of `open_clip.CLIP`. Never asks open_clip for a name outside its list, which it might download."""
    import open_clip

    if spec.architecture not in open_clip.list_models():
        raise InvalidSpecError(f"open_clip has no architecture {spec.architecture!r}; see open_clip.list_models().")
    config: dict[str, Any] = open_clip.get_model_config(spec.architecture)
    foreign = (config.keys() - _CLIP_KEYS) | (config["text_cfg"].keys() - _TEXT_KEYS)
    foreign |= {key for key in config["vision_cfg"] if key.startswith("timm_")}
    if foreign:
        raise InvalidSpecError(
            f"{spec.architecture!r} is no CLIP as OpenAI built it: its configuration has {', '.join(sorted(foreign))}. "
            "Only a ResNet or a vision transformer with CLIP's own text encoder is supported."
        )
    if config.get("quick_gelu") and not spec.quick_gelu:
        raise InvalidSpecError(
            f"The architecture {spec.architecture!r} has QuickGELU, but its specification states quick_gelu=False. "
            "State the activation that the weights were trained with."
        )
    return config | {"quick_gelu": spec.quick_gelu}


def _causal_mask(length: int) -> torch.Tensor:
    return torch.full((length, length), float("-inf")).triu_(1)


def _check_quick_gelu(model: nn.Module, spec: ClipEncoderSpec) -> None:
    from open_clip.transformer import QuickGELU

    built = any(isinstance(module, QuickGELU) for module in model.modules())
    if built != spec.quick_gelu:
        raise InvalidSpecError(
            f"{spec.architecture} was built with{'' if built else 'out'} QuickGELU, but its specification states "
            f"quick_gelu={spec.quick_gelu}. State the activation that the weights were trained with."
        )


register_encoder(ClipBuilder())
