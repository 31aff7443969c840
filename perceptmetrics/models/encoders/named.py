"""Encoders by name: CLIPs of OpenAI and of open_clip's list, and the networks of timm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import open_clip
import timm

from perceptmetrics.errors import InvalidOptionError, nearest_names
from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD, OPENAI_CLIP_WEIGHTS, openai_clip
from perceptmetrics.metrics.lite import EFFICIENTNET_LITE0_WEIGHTS
from perceptmetrics.models.encoders import feature_size_of, is_any_size_convolutional
from perceptmetrics.models.encoders.open_clip_tags import find_tag
from perceptmetrics.spec import ClipEncoderSpec, EncoderSpec, HubFile, TimmEncoderSpec

if TYPE_CHECKING:
    from perceptmetrics.spec import EncoderFeatures, PositionalEmbedding, WeightSource

__all__ = ["TIMM_PREFIX", "NamedEncoder", "encoder_width", "named_encoder"]

TIMM_PREFIX = "timm:"

_LITE0 = "tf_efficientnet_lite0.in1k"  # whose weights a package carries
_TIMM_FILE = "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class NamedEncoder:
    """An encoder, and the pixels that it was trained with.

    Attributes:
        spec: The encoder, with the source of its weights.
        mean: Mean of each colour, which is subtracted from pixels in [0, 1].
        std: Standard deviation of each colour, by which they are divided.
        input_size: Height and width of the images that it was trained with, in pixels.
    """

    spec: EncoderSpec
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    input_size: tuple[int, int]


def named_encoder(
    name: str,
    *,
    positional_embedding: PositionalEmbedding | None = None,
    features: EncoderFeatures | None = None,
) -> NamedEncoder:
    """Look up an encoder. Nothing is built or downloaded.

    Args:
        name: An OpenAI CLIP (`"ViT-L-14"`, `"RN50"`), an architecture and tag of open_clip
            (`"ViT-B-32/laion2b_s34b_b79k"`), or `"timm:NAME"` or `"timm:NAME.TAG"` (`"timm:vit_large_patch14_dinov2"`,
            `"timm:vit_large_patch16_224.mae"`).
        positional_embedding: For a CLIP: what becomes of its positional embedding; None for `"interpolate"`.
        features: For a network of timm: what is read off it; None for `"stages"` of convolutional networks, and
            `"pooled"` features of others.

    Returns:
        The encoder.

    Raises:
        InvalidOptionError: No such encoder is known (the message has the nearest names), or an option does not belong
            to it.

    Examples:
        >>> named_encoder("timm:vit_large_patch14_dinov2").spec.features
        'pooled'
    """
    if name.startswith(TIMM_PREFIX):
        if positional_embedding is not None:
            raise InvalidOptionError(f"positional_embedding= belongs to a CLIP, which {name!r} is not. Leave it out.")
        return _timm(name.removeprefix(TIMM_PREFIX), features)
    if features is not None:
        raise InvalidOptionError(f"features= belongs to the encoders of timm, which {name!r} is not. Leave it out.")
    return _clip(name, positional_embedding or "interpolate")


def encoder_width(spec: EncoderSpec) -> int:
    """Length of an encoder's feature vectors, without its weights.

    Raises:
        InvalidSpecError: The library does not know the architecture, or builds it otherwise than specified.
    """
    return feature_size_of(spec)


def _clip(name: str, positional_embedding: PositionalEmbedding) -> NamedEncoder:
    if name in OPENAI_CLIP_WEIGHTS:
        spec, mean, std = openai_clip(name, positional_embedding), CLIP_MEAN, CLIP_STD
    else:
        found = find_tag(name)
        if found is None:
            listed = [f"{architecture}/{tag}" for architecture, tag in open_clip.list_pretrained()]
            known = [*OPENAI_CLIP_WEIGHTS, *listed, *(TIMM_PREFIX + network for network in timm.list_models())]
            raise InvalidOptionError(f"No encoder is named {name!r}. {nearest_names(name, known)}")
        mean, std = _three(found.mean), _three(found.std)
        spec = ClipEncoderSpec(
            architecture=found.architecture,
            quick_gelu=found.quick_gelu,
            weights=found.weights,
            positional_embedding=positional_embedding,
        )
    size = open_clip.get_model_config(spec.architecture)["vision_cfg"]["image_size"]
    height, width = size if isinstance(size, (tuple, list)) else (size, size)
    return NamedEncoder(spec=spec, mean=mean, std=std, input_size=(height, width))


def _timm(name: str, features: EncoderFeatures | None) -> NamedEncoder:
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        known = (TIMM_PREFIX + network for network in timm.list_models())
        raise InvalidOptionError(
            f"No encoder is named {TIMM_PREFIX + name!r}. {nearest_names(TIMM_PREFIX + name, known)}"
        )
    try:
        configuration = timm.get_pretrained_cfg(name)
    except RuntimeError:  # no such tag
        configuration = None
    if configuration is None or not configuration.hf_hub_id:
        known = (TIMM_PREFIX + weights for weights in timm.list_pretrained(f"{architecture}*"))
        raise InvalidOptionError(
            f"The Hub has no weights for {TIMM_PREFIX + name!r}. {nearest_names(TIMM_PREFIX + name, known)}"
        )
    weights: WeightSource = HubFile(repo=configuration.hf_hub_id, filename=_TIMM_FILE, revision="main")
    if f"{architecture}.{configuration.tag}" == _LITE0:
        weights = EFFICIENTNET_LITE0_WEIGHTS
    stages = is_any_size_convolutional(architecture)
    spec = TimmEncoderSpec(
        architecture=architecture,
        quick_gelu=False,
        weights=weights,
        features=features or ("stages" if stages else "pooled"),
    )
    _, height, width = configuration.input_size
    return NamedEncoder(
        spec=spec, mean=_three(configuration.mean), std=_three(configuration.std), input_size=(height, width)
    )


def _three(numbers: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = numbers
    return red, green, blue
