"""From features to raw outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

from perceptmetrics.spec.checks import require, require_text
from perceptmetrics.spec.sources import WeightSource

__all__ = [
    "Activation",
    "Aggregation",
    "AntonymHeadSpec",
    "ContextPosition",
    "ContextSpec",
    "CosineHeadSpec",
    "FeatureMap",
    "HeadSpec",
    "MlpHeadSpec",
    "PoolSpec",
    "PromptPair",
    "RegressorSpec",
]

Activation = Literal["relu", "gelu"]
FeatureMap = Literal["identity", "signed_log"]
ContextPosition = Literal["middle", "end"]
Aggregation = Literal["mean", "concat"]


@dataclass(frozen=True, kw_only=True)
class PromptPair:
    """An antonym pair: the score is the share of the positive prompt.

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
            f"The prompts of the pair {self.name!r} are identical ({self.positive!r}); its score would always be 0.5.",
        )


@dataclass(frozen=True, kw_only=True)
class ContextSpec:
    """Learned context around the texts of prompts (Zhou et al., "CoOp", IJCV 2022; CLIP-IQA, section 3.3).

    Each prompt becomes `length` learned vectors with the text's tokens among them; CoOp adds a full stop to the text,
    so that "Good photo." ends in two.

    Attributes:
        length: Number of learned vectors.
        weights: Where they come from: shape (length, D) when all prompts share them, else (2 P, length, D), the
            prompts in the order positive, negative of each pair. None when no file is published.
        position: Where the text stands: in the `"middle"` of the vectors, or at their `"end"`.
    """

    length: int
    weights: WeightSource | None
    position: ContextPosition = "middle"

    def __post_init__(self) -> None:
        require(self.length > 0, f"ContextSpec.length must be positive, got {self.length!r}.")
        require(
            self.position in get_args(ContextPosition),
            f"ContextSpec.position must be 'middle' or 'end', got {self.position!r}.",
        )


@dataclass(frozen=True, kw_only=True)
class AntonymHeadSpec:
    """CLIP-IQA's head: softmax over the scaled cosines with an antonym pair (section 3.1, Eq. 3).

    Attributes:
        pairs: The antonym pairs, one output each.
        average: Average the pairs into one output.
        context: Learned context around the prompts (CLIP-IQA+); None for the texts as they are.
    """

    kind: ClassVar[str] = "antonym"
    pairs: tuple[PromptPair, ...]
    average: bool = False
    context: ContextSpec | None = None

    def __post_init__(self) -> None:
        require(len(self.pairs) > 0, "AntonymHeadSpec.pairs needs at least one pair of prompts.")
        names = [pair.name for pair in self.pairs]
        repeated = sorted({name for name in names if names.count(name) > 1})
        require(not repeated, f"AntonymHeadSpec.pairs names {repeated} more than once; labels must be unique.")


@dataclass(frozen=True, kw_only=True)
class CosineHeadSpec:
    """The naive baseline: plain cosine with a single prompt (CLIP-IQA, Fig. 2a).

    Attributes:
        prompt: The prompt.
    """

    kind: ClassVar[str] = "cosine"
    prompt: str

    def __post_init__(self) -> None:
        require_text("CosineHeadSpec", prompt=self.prompt)


@dataclass(frozen=True, kw_only=True)
class MlpHeadSpec:
    """Features into a multilayer perceptron.

    Attributes:
        widths: Sizes from the features to the output, such as `(1024, 192, 1)`.
        weights: The metric's own trained file: the head and, where the encoder was tuned, what tuned it. None when
            it lies beside the specification, as in an exported folder.
        activation: What stands between the layers, `"relu"` or `"gelu"`.
        feature_map: What is done to the features first: `"identity"`, or `"signed_log"`, which is
            `sign(x) * log(1 + |x|)` and tames long tails.
        standardise: Whether the features are then standardised, with mean and standard deviation of the
            training data.
        dropout: Probability with which a hidden value is zeroed in training.
        input_dropout: Probability with which a feature, mapped and standardised, is zeroed in training.
    """

    kind: ClassVar[str] = "mlp"
    widths: tuple[int, ...]
    weights: WeightSource | None
    activation: Activation = "relu"
    feature_map: FeatureMap = "identity"
    standardise: bool = False
    dropout: float = 0.0
    input_dropout: float = 0.0

    def __post_init__(self) -> None:
        require(
            len(self.widths) >= 2 and all(width > 0 for width in self.widths),
            f"MlpHeadSpec.widths needs at least an input and an output size, all positive; got {self.widths!r}.",
        )
        require(
            self.activation in ("relu", "gelu"),
            f"MlpHeadSpec.activation must be 'relu' or 'gelu', got {self.activation!r}.",
        )
        require(
            self.feature_map in ("identity", "signed_log"),
            f"MlpHeadSpec.feature_map must be 'identity' or 'signed_log', got {self.feature_map!r}.",
        )
        for name in ("dropout", "input_dropout"):
            value = getattr(self, name)
            require(0 <= value < 1, f"MlpHeadSpec.{name} must be in [0, 1), got {value!r}.")


HeadSpec: TypeAlias = AntonymHeadSpec | CosineHeadSpec | MlpHeadSpec


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
        require(
            len(self.widths) >= 2 and all(width > 0 for width in self.widths),
            f"RegressorSpec.widths needs at least an input and an output size, all positive; got {self.widths!r}.",
        )


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
            f"PoolSpec.aggregation must be 'mean' or 'concat', got {self.aggregation!r}.",
        )
        require(
            self.aggregation == "mean" or self.regressor is not None,
            "PoolSpec.aggregation 'concat' needs a regressor that reads the views side by side.",
        )
