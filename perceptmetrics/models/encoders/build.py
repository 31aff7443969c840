"""From an `EncoderSpec` and its weights to a frozen encoder."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from perceptmetrics.models.encoders.base import builder_of
from perceptmetrics.models.shared_tensors import share
from perceptmetrics.weights.fingerprints import digests_of
from perceptmetrics.weights.layouts import load_strictly, weight_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from torch import Tensor, nn

    from perceptmetrics.models.encoders.base import Encoder
    from perceptmetrics.models.encoders.clip_text import TextEncoder
    from perceptmetrics.spec import EncoderSpec

__all__ = [
    "EncoderWeights",
    "ImageAndText",
    "Placement",
    "build_image_and_text",
    "build_image_encoder",
    "encoder_shapes",
    "feature_size_of",
    "load_image_encoder",
    "read_encoder_weights",
    "text_channels_of",
]


class ImageAndText(NamedTuple):
    """The encoders of a CLIP."""

    image: Encoder
    text: TextEncoder


class Placement(NamedTuple):
    """Where an encoder is wanted, and in which precision; None for the CPU and float32."""

    device: torch.device | str | None = None
    dtype: torch.dtype | None = None


AS_IT_IS = Placement()


class EncoderWeights(NamedTuple):
    """An encoder's tensors: those of the image encoder of a CLIP, or of a timm network without its classifier.

    Attributes:
        tensors: State dictionary in the library's layout (`visual.*` for a CLIP), float32.
        digests: Hashes of the content, by name, of those tensors that other encoders may have too.
        origin: Where they come from, for error messages.
    """

    tensors: Mapping[str, Tensor]
    digests: Mapping[str, str]
    origin: str


def build_image_and_text(
    spec: EncoderSpec, weights: Path | None, seed: int = 0, placement: Placement = AS_IT_IS
) -> ImageAndText:
    """Build the image encoder and the text encoder of a CLIP.

    Args:
        spec: What to build. Adapters (`spec.lora`) are not in such a file and not looked at.
        weights: The weight file; None for random weights, which score nothing meaningful.
        seed: Seed of the random weights.
        placement: Where the image encoder is wanted, and in which precision. The text encoder stays as it is.

    Returns:
        Both, in eval mode.

    Raises:
        WeightsError: The file does not fit the architecture.
        InvalidSpecError: The encoder belongs to no CLIP, or its library does not know the architecture or builds it
            otherwise than specified.
    """
    builder = builder_of(spec)
    if weights is None:
        network, text = builder.random_with_text(spec, seed)
        return ImageAndText(_wrapped(network, spec, placement), text)
    tensors, text = builder.read_with_text(weights, spec)
    return ImageAndText(build_image_encoder(spec, _from_file(tensors, weights), placement=placement), text)


def read_encoder_weights(weights: Path, spec: EncoderSpec) -> EncoderWeights:
    """Read an encoder's weight file; of a CLIP, the text encoder is not looked at, of others no classifier.

    Raises:
        WeightsError: The file is missing, corrupt, or does not hold such an encoder.
    """
    return _from_file(builder_of(spec).read(weights, spec), weights)


def _from_file(tensors: Mapping[str, Tensor], weights: Path) -> EncoderWeights:
    return EncoderWeights(tensors, digests_of(tensors, weight_file(weights)), str(weights))


def build_image_encoder(
    spec: EncoderSpec, weights: EncoderWeights | None, seed: int = 0, placement: Placement = AS_IT_IS
) -> Encoder:
    """Build an encoder alone: the image encoder of a CLIP, or a network of timm.

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
    builder = builder_of(spec)
    if weights is None:
        return _wrapped(builder.random_network(spec, seed), spec, placement)
    network = builder.empty_network(spec)
    names = builder.file_names(spec, network)
    parameters = {names[name] for name, _ in network.named_parameters()}  # buffers are everybody's own
    digests = {name: digest for name, digest in weights.digests.items() if name in parameters}
    tensors, shared = share(weights.tensors, digests, *placement)
    own_names = {name: own for own, name in names.items()}
    load_strictly(network, {own_names.get(name, name): tensor for name, tensor in tensors.items()}, weights.origin)
    encoder = _wrapped(network, spec, placement)
    encoder.shared = shared
    shared.forget_unused(encoder)  # what was folded
    return encoder


def load_image_encoder(spec: EncoderSpec, file: Path | None, seed: int = 0, placement: Placement = AS_IT_IS) -> Encoder:
    """Build an encoder alone from its weight file; see `build_image_encoder`.

    Args:
        spec: What to build.
        file: Its file; None for random weights, which score nothing meaningful.
        seed: Seed of the random weights.
        placement: Where the encoder is wanted, and in which precision.

    Returns:
        The encoder in eval mode.

    Raises:
        WeightsError: The file is missing, corrupt, or does not fit the architecture.
        InvalidSpecError: The library does not know the architecture, or builds it otherwise than specified.
    """
    weights = None if file is None else read_encoder_weights(file, spec)
    return build_image_encoder(spec, weights, seed, placement)


@lru_cache
def feature_size_of(spec: EncoderSpec) -> int:
    """Length of an encoder's feature vectors. It is built, but without memory for its weights."""
    return _wrapped(builder_of(spec).empty_network(spec), spec, AS_IT_IS).feature_size


def text_channels_of(spec: EncoderSpec) -> int | None:
    """Channels of the text encoder that belongs to an encoder; None where there is none."""
    return builder_of(spec).text_channels(spec)


def encoder_shapes(spec: EncoderSpec) -> dict[str, tuple[int, ...]]:
    """Names and shapes of an encoder's tensors as files hold them, in the library's layout (`visual.*` for a CLIP)."""
    builder = builder_of(spec)
    network = builder.empty_network(spec)
    state = network.state_dict()
    return {name: tuple(state[own].shape) for own, name in builder.file_names(spec, network).items()}


def _wrapped(network: nn.Module, spec: EncoderSpec, placement: Placement) -> Encoder:
    network.requires_grad_(False)
    encoder = builder_of(spec).wrap(network, spec)
    return encoder if placement == AS_IT_IS else encoder.to(device=placement.device, dtype=placement.dtype)
