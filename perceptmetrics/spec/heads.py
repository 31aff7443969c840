"""From features to raw outputs: what every head answers, and heads of linear layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from perceptmetrics._util.text import shown
from perceptmetrics.spec.checks import require, require_widths
from perceptmetrics.spec.kinds import Family, Kind
from perceptmetrics.spec.sources import WeightSource

if TYPE_CHECKING:
    from perceptmetrics.spec.metric import MetricSpec

__all__ = [
    "HEADS",
    "Activation",
    "FeatureMap",
    "HeadLayout",
    "HeadSpec",
    "MlpHeadSpec",
]

Activation = Literal["relu", "gelu", "none"]
FeatureMap = Literal["identity", "signed_log", "l2"]


class HeadSpec(Kind, ABC):
    """From the features of a view to its raw outputs.

    Attributes:
        needs_text_encoder: Whether the head compares images with texts, which the text encoder of a CLIP reads.
        takes_regressor: Whether a regressor may read the outputs of the head.
        reads_prompts: Whether each image comes with a text of its own, which the head compares it with.
        is_calibrated: Whether the raw outputs are on a scale that training keeps. Otherwise, after training for a
            correlation, a line is fitted to the ratings and becomes part of the metric.
    """

    needs_text_encoder: ClassVar[bool] = False
    takes_regressor: ClassVar[bool] = False
    reads_prompts: ClassVar[bool] = False
    is_calibrated: ClassVar[bool] = True

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Number K of raw outputs of a view."""

    @property
    def takes_prompts(self) -> bool:
        """Whether `create_metric` takes other prompts for it."""
        return False

    @property
    def joins_views(self) -> bool:
        """Whether it reads the features of all views of an image side by side, not those of each view."""
        return False

    @property
    def reads_length(self) -> bool:
        """Whether the outputs depend on how long a feature vector is, and not on its direction alone."""
        return True

    @property
    def is_trained(self) -> bool:
        """Whether the head, or what it tunes the encoder with, lies in a trained file of the metric's own."""
        return False

    @property
    def trained_file(self) -> WeightSource | None:
        """Where that file comes from; None when there is none, when it is not published, or lies beside `spec.json`."""
        return None

    def with_trained_file(self, source: WeightSource | None) -> HeadSpec:
        """The same head with another trained file; a head without one is returned as it is.

        Args:
            source: Where the file comes from; None for a file beside `spec.json`.
        """
        del source
        return self

    def untrained(self) -> HeadSpec:
        """The head that training starts from, without what is learned outside of it."""
        return self

    def check(self, metric: MetricSpec) -> None:
        """Check the head against the rest of the metric.

        Raises:
            InvalidSpecError: They do not go together.
        """

    def describe_training(self) -> str:
        """What of the head was trained, for model cards; empty for nothing."""
        return "a head" if self.is_trained else ""


HEADS: Family[HeadSpec] = Family("head", HeadSpec, "perceptmetrics.heads")


@dataclass(frozen=True, kw_only=True)
class HeadLayout:
    """Names of tensors in a published file that holds a head of linear layers, and perhaps its encoder.

    Attributes:
        weights: Names of the layers' weights, in order.
        biases: Names of their biases.
        encoder_prefix: What the names of the encoder's tensors have in front; None for a file of the head alone.
    """

    weights: tuple[str, ...]
    biases: tuple[str, ...]
    encoder_prefix: str | None = None

    def __post_init__(self) -> None:
        names = (*self.weights, *self.biases)
        require(
            len(self.weights) == len(self.biases) > 0 and len(set(names)) == len(names),
            f"HeadLayout needs as many biases as weights, each of another name, got {shown(names)}.",
        )


@dataclass(frozen=True, kw_only=True)
class MlpHeadSpec(HeadSpec):
    """Features into a multilayer perceptron.

    Attributes:
        widths: Sizes from the features to the output, such as `(1024, 192, 1)`.
        weights: The metric's own trained file: the head and, where the encoder was tuned, what tuned it. None when
            it lies beside the specification, as in an exported folder.
        activation: What stands between the layers, `"relu"`, `"gelu"` or `"none"`.
        feature_map: What is done to the features of a view first: `"identity"`; `"signed_log"`, which is
            `sign(x) * log(1 + |x|)` and tames long tails; or `"l2"`, which divides them by their length.
        joined_views: Number of views of an image whose features the head reads side by side; 1 to read each view by
            itself.
        layout: Names of the tensors in a published file; None for this package's own. A file that this package wrote
            is always read.
        standardise: Whether the features are then standardised, with mean and standard deviation of the
            training data.
        dropout: Probability with which a hidden value is zeroed in training.
        input_dropout: Probability with which a feature, mapped and standardised, is zeroed in training.
    """

    kind: ClassVar[str] = "mlp"
    is_calibrated: ClassVar[bool] = False
    widths: tuple[int, ...]
    weights: WeightSource | None
    activation: Activation = "relu"
    feature_map: FeatureMap = "identity"
    standardise: bool = False
    dropout: float = 0.0
    input_dropout: float = 0.0
    joined_views: int = 1
    layout: HeadLayout | None = None

    def __post_init__(self) -> None:
        require_widths("MlpHeadSpec", self.widths)
        require(
            self.activation in get_args(Activation),
            f"MlpHeadSpec.activation must be one of {get_args(Activation)}, got {shown(self.activation)}.",
        )
        require(
            self.feature_map in get_args(FeatureMap),
            f"MlpHeadSpec.feature_map must be one of {get_args(FeatureMap)}, got {shown(self.feature_map)}.",
        )
        require(
            self.joined_views > 0 and self.widths[0] % self.joined_views == 0,
            f"MlpHeadSpec.joined_views must be positive and divide the {self.widths[0]} features, "
            f"got {shown(self.joined_views)}.",
        )
        require(
            self.joined_views == 1 or not self.standardise,
            "MlpHeadSpec.standardise goes with a head that reads each view by itself, so with joined_views=1.",
        )
        layers = len(self.widths) - 1
        require(
            self.layout is None or len(self.layout.weights) == layers,
            f"MlpHeadSpec.layout must name the weights of {layers} layers.",
        )
        for name in ("dropout", "input_dropout"):
            value = getattr(self, name)
            require(0 <= value < 1, f"MlpHeadSpec.{name} must be in [0, 1), got {shown(value)}.")

    @property
    def outputs(self) -> int:
        """Size of the last layer."""
        return self.widths[-1]

    @property
    def is_trained(self) -> bool:
        """Always."""
        return True

    @property
    def trained_file(self) -> WeightSource | None:
        """The metric's own trained file."""
        return self.weights

    @property
    def joins_views(self) -> bool:
        """Whether it reads several."""
        return self.joined_views > 1

    @property
    def reads_length(self) -> bool:
        """Unless the features are divided by it."""
        return self.feature_map != "l2"

    def with_trained_file(self, source: WeightSource | None) -> MlpHeadSpec:
        """The same layers from another file."""
        return replace(self, weights=source)

    def check(self, metric: MetricSpec) -> None:
        """A head that reads several views needs as many of every image."""
        require(
            not self.joins_views or metric.views.view_count == self.joined_views,
            f"{metric.name}: the head reads {self.joined_views} views of an image side by side, but there are "
            f"{metric.views.view_count or 'as many as fit into it'}.",
        )


HEADS.declare(MlpHeadSpec)
