"""What every head promises.

It knows features and its own specification; it does not know pixels, files or the names of metrics.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.models.shared_tensors import own_what_trains
from perceptmetrics.spec.heads import HEADS, HeadSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from typing_extensions import Self

    from perceptmetrics.models.encoders import TextEncoder
    from perceptmetrics.models.metric_options import MetricOption
    from perceptmetrics.models.text_features import TextFeatures
    from perceptmetrics.spec import MetricSpec
    from perceptmetrics.weights.layouts import FileSignature, TrainedWeights

__all__ = ["Head", "HeadMaterial", "register_head"]


class HeadMaterial(ABC):
    """What a head is built from.

    Attributes:
        tensors: What the metric's trained file holds of the head; None for a head that starts at random, or that has
            nothing trained.
        origin: Where they come from, for error messages.
        seed: Seed of what starts at random.
    """

    tensors: Mapping[str, Tensor] | None
    origin: str
    seed: int

    @abstractmethod
    def text_encoder(self) -> TextEncoder:
        """The text encoder that belongs to the image encoder, frozen.

        Raises:
            InvalidSpecError: The encoder is no CLIP, so it has none.
        """

    @abstractmethod
    def text_features(
        self, texts: Sequence[str], compute: Callable[[TextEncoder], TextFeatures] | None = None
    ) -> TextFeatures:
        """Features of texts, from the cache where they are there; then no text encoder is built.

        Args:
            texts: What identifies each of N texts: the text itself, and whatever else it consists of.
            compute: Computes the features; None where `texts` are just texts.

        Returns:
            Features of unit length, shape (N, D).
        """


class Head(nn.Module, ABC):
    """From the features of a view to its raw outputs.

    Laws: each row of the outputs depends on its own row of features alone, differentiably; what `trained_state`
    returns is what `build` takes as `material.tensors`, and gives the same head again.

    Attributes:
        spec_class: Class of the specifications that the head is built from.
        standardises: Whether the head standardises features; training then sets `feature_mean` and `feature_std`.
    """

    spec_class: ClassVar[type[HeadSpec]]
    standardises: bool = False
    feature_mean: Tensor
    feature_std: Tensor

    @classmethod
    @abstractmethod
    def build(cls, spec: Any, material: HeadMaterial) -> Self:
        """Build the head.

        Args:
            spec: Its specification, a `spec_class`.
            material: Its trained tensors, if there are any, and the text encoder.

        Raises:
            WeightsError: The tensors do not fit.
        """

    @abstractmethod
    def forward(self, features: Tensor, texts: Tensor | None = None) -> Tensor:
        """Compute raw outputs.

        Args:
            features: Shape (N, D).
            texts: For a head that reads prompts: text features of each row, shape (N, D).

        Returns:
            Shape (N, K).
        """

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Text features of the prompts of images, shape (N, D); for heads that read prompts.

        Raises:
            InvalidSpecError: The head reads none.
        """
        raise InvalidSpecError(f"{type(self).__name__} compares images with no prompts of their own.")

    def for_many(self) -> Callable[[Tensor], Tensor]:
        """The same function of many features, shape (N, D), without gradients; where it can be, a faster one.

        Its outputs may differ from those of `forward` by float32's rounding.
        """
        return self

    def trained_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that training may change: all by default."""
        return self.parameters()

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze the weights or let them train; what trains is not shared."""
        super().requires_grad_(requires_grad)
        own_what_trains(self)
        return self

    def map_features(self, features: Tensor) -> Tensor:
        """Features, shape (..., D), before they are standardised."""
        return features

    def trained_state(self, context: Tensor | None = None) -> dict[str, Tensor]:
        """What a trained file holds of the head: its state by default.

        Args:
            context: Learned context of prompts, where training holds it outside the head.
        """
        return self.state_dict()

    @classmethod
    def trained_shapes(cls, spec: Any) -> dict[str, tuple[int, ...]] | None:
        """Names and shapes of what a trained file holds of the head; None where only `build` can tell."""
        return None

    @classmethod
    def read_published(cls, path: Path, spec: Any) -> TrainedWeights | None:
        """Read a trained file in a foreign layout of this kind of head; None for this package's own layout."""
        return None

    @classmethod
    def published_files(cls, spec: Any, channels: int | None) -> list[FileSignature]:
        """What files that `read_published` reads look like; none where there are no foreign layouts.

        Args:
            spec: The head's specification.
            channels: Channels of the text encoder that belongs to the encoder; None where there is none.
        """
        return []

    @classmethod
    def options(cls, metric: MetricSpec) -> tuple[MetricOption, ...]:
        """Options of `create_metric` for a metric with such a head, in the order in which they are applied."""
        return ()


def register_head(head: type[Head], *, replace: bool = False) -> None:
    """Make a kind of head known, to specifications in code and in JSON.

    Args:
        head: A subclass of `Head` whose `spec_class` is a frozen dataclass derived from `HeadSpec`.
        replace: Whether a kind of the same name may be replaced.

    Raises:
        InvalidSpecError: It is no such class, or the kind is registered already.
    """
    HEADS.register(head, replace=replace)
