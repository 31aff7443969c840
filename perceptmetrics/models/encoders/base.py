"""What every encoder promises, and what builds the encoders of one kind.

A builder knows the library that an architecture comes from, the names of its tensors in files, and how the network is
made an `Encoder`. It does not know where files lie, nor what is made of the features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from perceptmetrics._util.modules import transforming
from perceptmetrics.errors import InvalidImageError, InvalidOptionError, InvalidSpecError
from perceptmetrics.models.shared_tensors import SharedTensors
from perceptmetrics.spec.encoders import ENCODERS, EncoderSpec
from perceptmetrics.weights.fingerprints import fingerprint_of
from perceptmetrics.weights.layouts.strict import without_counters
from perceptmetrics.weights.tensor_files import read_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from typing_extensions import Self

    from perceptmetrics.models.encoders.clip_resnet import MeanTokenAttentionPool
    from perceptmetrics.models.encoders.clip_text import TextEncoder
    from perceptmetrics.models.encoders.transformer import Transformer

__all__ = ["Encoder", "EncoderBuilder", "builder_of", "channels_last", "register_encoder"]

_CACHED_PIXELS_PER_THREAD = 200_000


class Encoder(nn.Module, ABC):
    """An encoder. It sees pixels and nothing else: no metric's name, no prompt, no score.

    Attributes:
        library_prefix: What the names of weights have in front here that they lack in the layout of the library that
            built the encoder.
        convolutional: Whether the encoder is a convolutional network.
        feature_size: Length D of a feature vector.
        min_size: Smallest height and width, in pixels, from which features can be computed.
        shared: Tensors that other encoders of the process may use too. Who changes weights in place, or loads weights
            into a part of the encoder, first calls `shared.separate(encoder)`.
        may_train: Whether weights are meant to train: `requires_grad_(True)` was called, or adapters were attached.
    """

    library_prefix: str = ""
    convolutional: bool = False
    feature_size: int
    min_size: int
    shared: SharedTensors
    may_train: bool = False

    def __init__(self) -> None:
        super().__init__()
        self.shared = SharedTensors()
        self._checkpointing = False
        self.register_load_state_dict_pre_hook(_separate)  # type: ignore[no-untyped-call]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.shared.forget_unused(self)  # those that were moved to another device or precision
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze the weights or let them train; what trains is no longer shared."""
        if requires_grad:
            self.shared.separate(self)
        self.may_train = requires_grad
        return super().requires_grad_(requires_grad)

    def fingerprint(self) -> str:
        """Identifies the weights as they are in memory: 64 hexadecimal digits."""
        state = without_counters(self.state_dict())
        return fingerprint_of({name: tensor.detach().cpu() for name, tensor in state.items()})

    @property
    def checkpointing(self) -> bool:
        """Whether activations are computed again for the gradient: much less memory, up to a third more time.

        What is computed again draws the same dropout as the first time. Setting it raises an InvalidOptionError where
        an encoder cannot do it.
        """
        return self._checkpointing

    @checkpointing.setter
    def checkpointing(self, wanted: bool) -> None:
        self._switch_checkpointing(wanted)
        self._checkpointing = wanted

    def _switch_checkpointing(self, wanted: bool) -> None:
        """Prepare for it, or refuse."""
        if wanted:
            raise InvalidOptionError(
                f"{type(self).__name__} cannot compute its activations again, as checkpointing asks for. Leave it off, "
                "or use a vision transformer."
            )

    @property
    def attention_pool(self) -> MeanTokenAttentionPool | None:
        """The attention pool that ends a convolutional CLIP; None for other encoders."""
        return None

    @property
    def quantizable(self) -> nn.Module | None:
        """The part whose linear layers can compute in int8; None for an encoder without one."""
        return None

    def transformer(self) -> Transformer:
        """The encoder as a vision transformer, step by step, with its very weights.

        Raises:
            InvalidOptionError: It is none, or is not read off by a class token.
        """
        raise InvalidOptionError(f"{type(self).__name__} is no vision transformer, so it has no blocks to look into.")

    @abstractmethod
    def encode(self, pixels: Tensor) -> Tensor:
        """Encode images that are large enough.

        Args:
            pixels: Shape (N, 3, H, W), normalised.

        Returns:
            Shape (N, D), differentiable in `pixels`, each row independent of the others.
        """

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode images.

        Args:
            pixels: Shape (N, 3, H, W), normalised.

        Returns:
            Shape (N, D).

        Raises:
            InvalidImageError: Height or width is below `min_size`.
        """
        height, width = pixels.shape[-2:]
        if min(height, width) < self.min_size:
            raise InvalidImageError(
                f"Images must be at least {self.min_size} x {self.min_size} pixels for this encoder, "
                f"got {height} x {width} (height x width). Enlarge or leave out smaller ones."
            )
        # Traced programs keep their batch whole; so do GPUs, which are faster the larger it is.
        if pixels.device.type != "cpu" or torch.compiler.is_compiling():
            return self.encode(pixels)
        parts = -(-pixels.shape[0] // self.cache_sized_part(height, width))
        if parts == 1:
            return self.encode(pixels)
        return torch.cat([self.encode(some) for some in torch.tensor_split(pixels, parts)])

    def cache_sized_part(self, height: int, width: int) -> int:
        """How many images of a size to encode at once on a processor.

        It is faster on a few images, whose feature maps stay in its caches, than on many.
        """
        return max(1, _CACHED_PIXELS_PER_THREAD * torch.get_num_threads() // (height * width))


def channels_last(pixels: Tensor) -> Tensor:
    """Pixels, shape (N, 3, H, W), in the memory format of convolutional networks."""
    if not torch.compiler.is_compiling() and transforming():
        return pixels.movedim(1, -1).contiguous().movedim(-1, 1)  # `vmap` has no other way to it
    return pixels.contiguous(memory_format=torch.channels_last)


def _separate(encoder: Encoder, state: Mapping[str, object], prefix: str, *_: object) -> None:
    """Loading weights into one encoder must not change another."""
    if any(name.startswith(prefix) for name in state):
        encoder.shared.separate(encoder)


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

    def text_channels(self, spec: S) -> int | None:
        """Channels of a token's embedding in the text encoder that belongs to the encoder; None where there is none."""
        return None

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
