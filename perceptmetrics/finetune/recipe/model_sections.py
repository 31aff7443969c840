"""The sections of a recipe that say what is trained: the encoder, and a head of layers or prompts on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from perceptmetrics.finetune.recipe.choices import check_choices
from perceptmetrics.spec import Aggregation, ContextPosition
from perceptmetrics.spec.checks import require, require_text
from perceptmetrics.spec.encoders import EncoderFeatures, PositionalEmbedding
from perceptmetrics.spec.heads import Activation, FeatureMap

__all__ = ["EncoderRecipe", "HeadRecipe", "PromptsRecipe"]

SharedContext = Literal["all", "pair", "none"]


@dataclass(frozen=True, kw_only=True)
class EncoderRecipe:
    """The encoder that training starts from.

    Attributes:
        name: A CLIP of the registry (`"ViT-L-14"`), a tag of open_clip (`"ViT-B-32/laion2b_s34b_b79k"`), or
            `"timm:NAME"`.
        positional_embedding: See `ClipEncoderSpec`; None for the encoder's own.
        features: See `TimmEncoderSpec`; None for the encoder's own.
        normalization: Mean and standard deviation that pixels are normalised with: the encoder's `"own"`, or those of
            OpenAI's `"clip"`.
        frozen: Parts that stay frozen while the encoder is trained in full, as prefixes of their weights' names
            (`"blocks.0"`). They save time and memory, and cannot overfit to few images.
    """

    name: str
    positional_embedding: PositionalEmbedding | None = None
    features: EncoderFeatures | None = None
    normalization: Literal["own", "clip"] = "own"
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_text("encoder", name=self.name)
        check_choices(
            "encoder",
            self,
            positional_embedding=PositionalEmbedding,
            features=EncoderFeatures,
            normalization=Literal["own", "clip"],
        )


@dataclass(frozen=True, kw_only=True)
class HeadRecipe:
    """A head of layers.

    Attributes:
        hidden: Sizes of the hidden layers; none for a linear head.
        activation: Activation function between the layers.
        dropout: Dropout probability of hidden values.
        input_dropout: Dropout probability of features.
        feature_map: How features are transformed first, see `MlpHeadSpec`.
        standardise: Whether features are standardised with the mean and standard deviation of the training images.
            Data sets that share a head count in proportion to their loss weights.
    """

    hidden: tuple[int, ...] = (512, 256)
    activation: Activation = "relu"
    dropout: float = 0.5
    input_dropout: float = 0.0
    feature_map: FeatureMap = "identity"
    standardise: bool = False

    def __post_init__(self) -> None:
        for name in ("dropout", "input_dropout"):
            value = getattr(self, name)
            require(0 <= value < 1, f"head.{name} must be in [0, 1), got {value!r}.")
        require(all(size > 0 for size in self.hidden), f"head.hidden needs positive sizes, got {self.hidden!r}.")
        check_choices("head", self, activation=Activation, feature_map=FeatureMap)


@dataclass(frozen=True, kw_only=True)
class PromptsRecipe:
    """Antonym prompts in place of a head of layers.

    Attributes:
        pairs: Names of attributes, or pairs written as `"Good photo. | Bad photo."`.
        length: Number of learned vectors around each text; 0 for unchanged texts with a trained regressor.
        shared: Which prompts share their vectors: `"all"`, the two of a `"pair"`, or `"none"`.
        position: Position of the text among the vectors.
        init: Text whose token embeddings initialise the vectors; None for random vectors, N(0, 0.02).
        regressor: Sizes of the hidden layers of a regressor on the pairs' outputs; None for no regressor.
        aggregation: How the outputs for the views of an image are combined.
    """

    pairs: tuple[str, ...] = ("quality",)
    length: int = 16
    shared: SharedContext = "all"
    position: ContextPosition = "middle"
    init: str | None = None
    regressor: tuple[int, ...] | None = None
    aggregation: Aggregation = "mean"

    def __post_init__(self) -> None:
        require(len(self.pairs) > 0, "prompts.pairs needs at least one pair.")
        check_choices("prompts", self, position=ContextPosition, aggregation=Aggregation, shared=SharedContext)
        require(self.length >= 0, f"prompts.length must be 0 or more, got {self.length!r}.")
        require(
            self.length > 0 or self.regressor is not None,
            "prompts.length=0 leaves nothing to train; state prompts.regressor, such as [128, 128].",
        )
