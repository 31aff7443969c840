"""What builds the encoders of one kind, and the registry of kinds.

A builder knows the library that an architecture comes from, the names of its tensors in files, and how the network is
made an `Encoder`. It does not know where files lie, nor what is made of the features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.spec.encoders import ENCODERS, EncoderSpec
from perceptmetrics.weights.layouts.strict import without_counters
from perceptmetrics.weights.tensor_files import read_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from perceptmetrics.models.encoders.base import Encoder
    from perceptmetrics.models.encoders.clip_text import TextEncoder

__all__ = ["EncoderBuilder", "builder_of", "register_encoder"]

S = TypeVar("S", bound=EncoderSpec)


class EncoderBuilder(ABC, Generic[S]):
    """Builds the encoders of one kind.

    Laws: `file_names` names every tensor of `empty_network` that files hold, and `read` returns exactly those;
    `wrap` takes the network over, so that nothing is held twice.

    Attributes:
        spec_class: Class of the specifications.
    """

    spec_class: ClassVar[type[EncoderSpec]]

    @abstractmethod
    def empty_network(self, spec: S) -> nn.Module:
        """The library's own network without memory for its weights, as far as possible; they are assigned later.

        Raises:
            InvalidSpecError: The library does not know the architecture, or builds it otherwise than specified.
        """

    @abstractmethod
    def random_network(self, spec: S, seed: int) -> nn.Module:
        """The library's own network with random weights, which score nothing meaningful."""

    @abstractmethod
    def wrap(self, network: nn.Module, spec: S) -> Encoder:
        """Make an encoder of a network that holds its weights already."""

    def read(self, path: Path, spec: S) -> Mapping[str, Tensor]:
        """Read the encoder's tensors from a file, in float32 and under the names of files.

        Raises:
            WeightsError: The file is missing or corrupt, or does not hold such an encoder.
        """
        return {name: tensor.float() for name, tensor in read_tensors(path).items()}

    def file_names(self, spec: S, network: nn.Module) -> dict[str, str]:
        """Names in files by the names inside the network; batch counters are left out."""
        return {name: name for name in without_counters(network.state_dict())}

    def network_name(self, name: str) -> str:
        """Name inside the library's own network of a tensor of the encoder."""
        return name

    def read_with_text(self, path: Path, spec: S) -> tuple[Mapping[str, Tensor], TextEncoder]:
        """Read a CLIP: what `read` returns, and the text encoder with its weights.

        Raises:
            InvalidSpecError: An encoder of this kind belongs to no CLIP.
            WeightsError: The file does not fit.
        """
        raise self.no_text(spec)

    def random_with_text(self, spec: S, seed: int) -> tuple[nn.Module, TextEncoder]:
        """A CLIP with random weights: what `random_network` returns, and the text encoder.

        Raises:
            InvalidSpecError: An encoder of this kind belongs to no CLIP.
        """
        raise self.no_text(spec)

    def no_text(self, spec: S) -> InvalidSpecError:
        """The error of an encoder that belongs to no CLIP."""
        return InvalidSpecError(f"{spec.architecture!r} reads no text, so images cannot be compared with prompts.")


def register_encoder(builder: EncoderBuilder[S], *, replace: bool = False) -> None:
    """Make a kind of encoder known, to specifications in code and in JSON.

    Args:
        builder: Builds the encoders; its `spec_class` is a frozen dataclass derived from `EncoderSpec`.
        replace: Whether a kind of the same name may be replaced.

    Raises:
        InvalidSpecError: It is no such builder, or the kind is registered already.
    """
    ENCODERS.register(builder, replace=replace)


def builder_of(spec: S) -> EncoderBuilder[S]:
    """What builds an encoder.

    Raises:
        InvalidSpecError: Nothing is registered for its kind.
    """
    builder: EncoderBuilder[S] = ENCODERS.builder_of(spec)
    return builder
