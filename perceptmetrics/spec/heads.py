"""From features to raw outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from perceptmetrics._util.text import shown
from perceptmetrics.spec.checks import require, require_at_most, require_finite, require_text, require_widths
from perceptmetrics.spec.kinds import Family, Kind
from perceptmetrics.spec.sources import WeightSource

if TYPE_CHECKING:
    from perceptmetrics.spec.metric import MetricSpec

__all__ = [
    "HEADS",
    "Activation",
    "Aggregation",
    "AntonymHeadSpec",
    "ContextPosition",
    "ContextSpec",
    "CosineHeadSpec",
    "FeatureMap",
    "HeadLayout",
    "HeadSpec",
    "MlpHeadSpec",
    "PoolSpec",
    "PromptHeadSpec",
    "PromptPair",
    "RegressorSpec",
    "regressor_inputs",
]

Activation = Literal["relu", "gelu", "none"]
FeatureMap = Literal["identity", "signed_log", "l2"]
ContextPosition = Literal["middle", "end"]
Aggregation = Literal["mean", "concat"]

_MOST_PAIRS = 1_000
_LONGEST_CONTEXT = 1_000  # vectors; CLIP's own texts have at most 77 tokens


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


def _check_no_lora(metric: MetricSpec) -> None:
    require(
        metric.encoder.lora is None,
        f"{metric.name}: LoRA's weights lie in a trained file with a head of layers, and this metric has prompts.",
    )


@dataclass(frozen=True, kw_only=True)
class PromptPair:
    """An antonym pair: the score is the probability of the positive prompt.

    Attributes:
        name: Label of the score.
        positive: Prompt that a score of 1 stands for, such as `"Good photo."`.
        negative: Prompt that a score of 0 stands for, such as `"Bad photo."`.
    """

    name: str
    positive: str
    negative: str

    def __post_init__(self) -> None:
        require_text("PromptPair", name=self.name, positive=self.positive, negative=self.negative)
        require(
            self.positive.strip() != self.negative.strip(),
            f"The prompts of the pair {shown(self.name)} are identical ({shown(self.positive)}); its score would "
            "always be 0.5.",
        )


@dataclass(frozen=True, kw_only=True)
class ContextSpec:
    """Learned context around the texts of prompts (Zhou et al., "CoOp", IJCV 2022; CLIP-IQA, section 3.3).

    Each prompt becomes `length` learned vectors with the text's tokens among them; CoOp adds a full stop to the text,
    so that "Good photo." ends in two.

    Attributes:
        length: Number of learned vectors.
        weights: Where they come from: shape (length, D) when all prompts share them, (P, length, D) when those of a
            pair do, else (2 P, length, D), the prompts in the order positive, negative of each pair. None when no file
            is published.
        position: Where the text stands: in the `"middle"` of the vectors, or at their `"end"`.
    """

    length: int
    weights: WeightSource | None
    position: ContextPosition = "middle"

    def __post_init__(self) -> None:
        require(self.length > 0, f"ContextSpec.length must be positive, got {shown(self.length)}.")
        require_at_most("ContextSpec", _LONGEST_CONTEXT, length=self.length)
        require(
            self.position in get_args(ContextPosition),
            f"ContextSpec.position must be 'middle' or 'end', got {shown(self.position)}.",
        )


@dataclass(frozen=True, kw_only=True)
class AntonymHeadSpec(HeadSpec):
    """CLIP-IQA's head: softmax over the scaled cosines with an antonym pair (section 3.1, Eq. 3).

    Attributes:
        pairs: The antonym pairs, one output each.
        average: Average the pairs into one output.
        context: Learned context around the prompts (CLIP-IQA+); None for the texts as they are.
    """

    kind: ClassVar[str] = "antonym"
    needs_text_encoder: ClassVar[bool] = True
    takes_regressor: ClassVar[bool] = True
    pairs: tuple[PromptPair, ...]
    average: bool = False
    context: ContextSpec | None = None

    def __post_init__(self) -> None:
        require(len(self.pairs) > 0, "AntonymHeadSpec.pairs needs at least one pair of prompts.")
        require(
            len(self.pairs) <= _MOST_PAIRS,
            f"AntonymHeadSpec.pairs may state at most {_MOST_PAIRS:,} pairs of prompts, got {len(self.pairs):,}.",
        )
        names = Counter(pair.name for pair in self.pairs)
        repeated = sorted(name for name, count in names.items() if count > 1)
        require(not repeated, f"AntonymHeadSpec.pairs names {shown(repeated)} more than once; labels must be unique.")

    @property
    def outputs(self) -> int:
        """One for each pair, or one for their average."""
        return 1 if self.average else len(self.pairs)

    @property
    def takes_prompts(self) -> bool:
        """Texts can be exchanged, learned prompts cannot."""
        return self.context is None

    @property
    def is_trained(self) -> bool:
        """Whether the context is learned."""
        return self.context is not None

    @property
    def trained_file(self) -> WeightSource | None:
        """The file of the learned context."""
        return None if self.context is None else self.context.weights

    def with_trained_file(self, source: WeightSource | None) -> AntonymHeadSpec:
        """The same prompts with their context from another file."""
        return self if self.context is None else replace(self, context=replace(self.context, weights=source))

    @property
    def reads_length(self) -> bool:
        """No: cosines."""
        return False

    def check(self, metric: MetricSpec) -> None:
        """Without a regressor the scores are named after the pairs."""
        _check_no_lora(metric)
        if metric.pool.regressor is None:
            expected = () if self.outputs == 1 else tuple(pair.name for pair in self.pairs)
            require(
                metric.score.labels == expected,
                f"{metric.name}: ScoreSpec.labels must be {shown(expected)} to match the prompt pairs, "
                f"got {shown(metric.score.labels)}.",
            )

    def untrained(self) -> AntonymHeadSpec:
        """The prompts as texts: their context is learned beside the head."""
        return replace(self, context=None)

    def describe_training(self) -> str:
        """Of the prompts."""
        return "learned context of the prompts" if self.is_trained else ""


@dataclass(frozen=True, kw_only=True)
class CosineHeadSpec(HeadSpec):
    """The naive baseline: plain cosine with a single prompt (CLIP-IQA, Fig. 2a).

    Attributes:
        prompt: The prompt.
    """

    kind: ClassVar[str] = "cosine"
    needs_text_encoder: ClassVar[bool] = True
    prompt: str

    def __post_init__(self) -> None:
        require_text("CosineHeadSpec", prompt=self.prompt)

    @property
    def outputs(self) -> int:
        """The cosine."""
        return 1

    @property
    def reads_length(self) -> bool:
        """No: cosines."""
        return False

    def check(self, metric: MetricSpec) -> None:
        """A prompt is compared with the encoder as CLIP has it."""
        _check_no_lora(metric)


@dataclass(frozen=True, kw_only=True)
class PromptHeadSpec(HeadSpec):
    """How well an image goes with its own text (Hessel et al., "CLIPScore", EMNLP 2021).

    Attributes:
        weight: The raw output is `weight * cosine`.
        clamp: Whether negative cosines count as 0, as CLIPScore has them.
        scaled: Whether the cosine is also multiplied by the factor that the CLIP itself has learned, about 100.
    """

    kind: ClassVar[str] = "prompt"
    needs_text_encoder: ClassVar[bool] = True
    reads_prompts: ClassVar[bool] = True
    weight: float = 1.0
    clamp: bool = False
    scaled: bool = False

    def __post_init__(self) -> None:
        require(self.weight > 0, f"PromptHeadSpec.weight must be positive, got {shown(self.weight)}.")
        require_finite("PromptHeadSpec", weight=self.weight)

    @property
    def outputs(self) -> int:
        """The weighted cosine."""
        return 1

    @property
    def reads_length(self) -> bool:
        """No: cosines."""
        return False

    def check(self, metric: MetricSpec) -> None:
        """A prompt is compared with the encoder as CLIP has it."""
        _check_no_lora(metric)


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


HEADS.declare(AntonymHeadSpec, CosineHeadSpec, MlpHeadSpec, PromptHeadSpec)


@dataclass(frozen=True, kw_only=True)
class RegressorSpec:
    """A small perceptron from the outputs of several prompt pairs to ratings (CLIP-IQA, section 3.3; CLIP-UIQA).

    Between its layers stands a leaky ReLU.

    Attributes:
        widths: Sizes from its inputs to its outputs, such as `(7, 128, 128, 1)`.
        weights: The trained file that holds it; None when no file is published.
        negative_slope: Slope of the leaky ReLU below zero.
    """

    widths: tuple[int, ...]
    weights: WeightSource | None
    negative_slope: float = 0.1

    def __post_init__(self) -> None:
        require_widths("RegressorSpec", self.widths)
        require_finite("RegressorSpec", negative_slope=self.negative_slope)


@dataclass(frozen=True, kw_only=True)
class PoolSpec:
    """From the outputs of an image's views to those of the image.

    Attributes:
        aggregation: `"mean"` over the views, or `"concat"`: side by side, for a regressor.
        regressor: What turns the aggregated outputs into ratings; None for nothing.
    """

    aggregation: Aggregation = "mean"
    regressor: RegressorSpec | None = None

    def __post_init__(self) -> None:
        require(
            self.aggregation in get_args(Aggregation),
            f"PoolSpec.aggregation must be 'mean' or 'concat', got {shown(self.aggregation)}.",
        )
        require(
            self.aggregation == "mean" or self.regressor is not None,
            "PoolSpec.aggregation 'concat' needs a regressor that reads the views side by side.",
        )


def regressor_inputs(aggregation: Aggregation, outputs: int, views: int | None) -> int:
    """Number of values that a regressor reads.

    Args:
        aggregation: See `PoolSpec`.
        outputs: Number of outputs of a view.
        views: Number of views of an image; None when it depends on the size of the image.

    Raises:
        InvalidSpecError: Views whose number varies would stand side by side.
    """
    if aggregation == "mean":
        return outputs
    require(
        views is not None,
        "The aggregation 'concat' needs as many views of every image; state 'mean' for views whose number depends on "
        "the size of the image.",
    )
    return outputs * (views or 0)
