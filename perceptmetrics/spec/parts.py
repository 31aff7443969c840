"""The parts of the road from pixels to raw outputs: encoder, views, head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from perceptmetrics.spec.checks import require, require_rgb, require_text
from perceptmetrics.spec.sources import WeightSource

__all__ = [
    "Activation",
    "AntonymHeadSpec",
    "BackboneSpec",
    "FeatureMap",
    "HeadSpec",
    "MlpHeadSpec",
    "PositionalEmbedding",
    "PromptPair",
    "ViewSpec",
    "ViewsSpec",
    "WholeView",
]

PositionalEmbedding = Literal["drop", "keep", "interpolate"]
Library = Literal["open_clip", "timm"]
Activation = Literal["relu", "gelu"]
FeatureMap = Literal["identity", "signed_log"]

POSITIONAL_EMBEDDINGS: tuple[PositionalEmbedding, ...] = ("drop", "keep", "interpolate")


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """The encoder that turns pixels into features.

    Attributes:
        library: Who builds the architecture: `"open_clip"` (image tower of a CLIP, its projected
            embedding) or `"timm"` (mean and standard deviation of every feature stage).
        architecture: The architecture's name in that library.
        quick_gelu: Whether the transformers use QuickGELU. The OpenAI weights do. It is never guessed:
            the built model is checked against it.
        weights: Where the weights come from.
        positional_embedding: What becomes of the positional embedding of a CLIP: `"drop"` (any size;
            CLIP-IQA, section 3.2), `"keep"` (training size only) or `"interpolate"` (any size). None for
            encoders that have none.
    """

    library: Library
    architecture: str
    quick_gelu: bool
    weights: WeightSource
    positional_embedding: PositionalEmbedding | None = None

    def __post_init__(self) -> None:
        require(
            self.library in ("open_clip", "timm"),
            f"BackboneSpec.library must be 'open_clip' or 'timm', got {self.library!r}.",
        )
        require_text("BackboneSpec", architecture=self.architecture)
        require(
            isinstance(self.quick_gelu, bool),
            f"BackboneSpec.quick_gelu must be stated as True or False, got {self.quick_gelu!r}.",
        )
        allowed = POSITIONAL_EMBEDDINGS if self.library == "open_clip" else (None,)
        require(
            self.positional_embedding in allowed,
            f"BackboneSpec.positional_embedding of a {self.library} encoder must be one of {allowed}, "
            f"got {self.positional_embedding!r}.",
        )


@dataclass(frozen=True, kw_only=True)
class WholeView:
    """The whole image at its native size.

    Attributes:
        max_long_side: Images whose longer side is above this many pixels are shrunk to it (bilinear,
            antialiased, aspect ratio kept). None leaves every size as it is. Nothing is enlarged.
    """

    kind: ClassVar[str] = "whole"
    max_long_side: int | None = None

    def __post_init__(self) -> None:
        require(
            self.max_long_side is None or self.max_long_side > 0,
            f"WholeView.max_long_side must be a positive number of pixels or None, got {self.max_long_side!r}.",
        )


ViewSpec: TypeAlias = WholeView


@dataclass(frozen=True, kw_only=True)
class ViewsSpec:
    """How an image is shown to the encoder.

    Attributes:
        views: The views of one image; scores of several views are averaged.
        mean: Per-channel mean that is subtracted from RGB in [0, 1].
        std: Per-channel standard deviation by which the difference is divided.
    """

    views: tuple[ViewSpec, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        require(len(self.views) > 0, "ViewsSpec.views needs at least one view.")
        require_rgb("ViewsSpec", mean=self.mean, std=self.std)
        require(all(value > 0 for value in self.std), f"ViewsSpec.std must be positive, got {self.std!r}.")


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
class AntonymHeadSpec:
    """CLIP-IQA's head: softmax over the scaled cosines with an antonym pair (section 3.1, Eq. 3).

    Attributes:
        pairs: The antonym pairs, one output each.
        average: Average the pairs into one output.
    """

    kind: ClassVar[str] = "antonym"
    pairs: tuple[PromptPair, ...]
    average: bool = False

    def __post_init__(self) -> None:
        require(len(self.pairs) > 0, "AntonymHeadSpec.pairs needs at least one pair of prompts.")
        names = [pair.name for pair in self.pairs]
        repeated = sorted({name for name in names if names.count(name) > 1})
        require(not repeated, f"AntonymHeadSpec.pairs names {repeated} more than once; labels must be unique.")


@dataclass(frozen=True, kw_only=True)
class MlpHeadSpec:
    """Standardised features into a multilayer perceptron.

    Attributes:
        widths: Sizes from the features to the output, such as `(1024, 192, 1)`.
        weights: Where the trained head comes from.
        activation: What stands between the layers, `"relu"` or `"gelu"`.
        feature_map: What is done to the features before they are standardised: `"identity"`, or
            `"signed_log"`, which is `sign(x) * log(1 + |x|)` and tames long tails.
    """

    kind: ClassVar[str] = "mlp"
    widths: tuple[int, ...]
    weights: WeightSource
    activation: Activation = "relu"
    feature_map: FeatureMap = "identity"

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


HeadSpec: TypeAlias = AntonymHeadSpec | MlpHeadSpec
