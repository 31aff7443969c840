"""The encoder, and the low-rank adapters that may have tuned it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from perceptmetrics.spec.checks import require, require_text
from perceptmetrics.spec.sources import WeightSource

__all__ = [
    "POSITIONAL_EMBEDDINGS",
    "AttentionPart",
    "BackboneSpec",
    "EncoderFeatures",
    "LoraSpec",
    "PositionalEmbedding",
]

PositionalEmbedding = Literal["drop", "keep", "interpolate", "interpolate_table"]
Library = Literal["open_clip", "timm"]
AttentionPart = Literal["q", "k", "v"]
EncoderFeatures = Literal["stages", "pooled"]

POSITIONAL_EMBEDDINGS: tuple[PositionalEmbedding, ...] = ("drop", "keep", "interpolate", "interpolate_table")
ATTENTION_PARTS: tuple[AttentionPart, ...] = ("q", "k", "v")


@dataclass(frozen=True, kw_only=True)
class LoraSpec:
    """Low-rank adaptation of the attention (Hu et al., "LoRA", ICLR 2022; PerceptCLIP, section 4).

    To the output of a projection W is added `alpha / rank * B A dropout(x)`.

    Attributes:
        rank: Rank r of the update.
        alpha: The update is scaled by `alpha / rank`.
        dropout: Probability with which an input of the update is zeroed in training.
        targets: Which of the queries', keys' and values' projections are adapted, in this order.
    """

    rank: int
    alpha: float
    dropout: float = 0.0
    targets: tuple[AttentionPart, ...] = ATTENTION_PARTS

    def __post_init__(self) -> None:
        require(self.rank > 0, f"LoraSpec.rank must be positive, got {self.rank!r}.")
        require(self.alpha > 0, f"LoraSpec.alpha must be positive, got {self.alpha!r}.")
        require(0 <= self.dropout < 1, f"LoraSpec.dropout must be in [0, 1), got {self.dropout!r}.")
        require(
            len(self.targets) > 0 and self.targets == tuple(part for part in ATTENTION_PARTS if part in self.targets),
            f"LoraSpec.targets must name some of {ATTENTION_PARTS}, in this order, got {self.targets!r}.",
        )

    @property
    def scale(self) -> float:
        """Factor of the update."""
        return self.alpha / self.rank


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """The encoder that turns pixels into features.

    Attributes:
        library: Who builds the architecture: `"open_clip"` (image tower of a CLIP, its projected
            embedding) or `"timm"`.
        architecture: The architecture's name in that library.
        quick_gelu: Whether the transformers use QuickGELU. The OpenAI weights do. It is never guessed:
            the built model is checked against it.
        weights: Where the weights come from.
        positional_embedding: What becomes of the positional embedding of a CLIP: `"drop"` (any size;
            CLIP-IQA, section 3.2), `"keep"` (training size only), `"interpolate"` (any size) or
            `"interpolate_table"` (any size; the whole table, summary row included, is resized as if it were one
            picture of tokens by channels: some published prompts were trained so). None for encoders that have none.
        features: What is read off an encoder of timm: `"stages"`, the mean and standard deviation of every feature
            stage of a convolutional network, or `"pooled"`, what the library itself would give to a classifier.
            None for a CLIP.
        lora: Adapters that have tuned the attention of a vision transformer; None for none. Their weights
            lie in the metric's own trained file.
        in_trained_file: Whether that file holds the encoder too, so that nothing else is needed. Otherwise the encoder
            comes from `weights`.
    """

    library: Library
    architecture: str
    quick_gelu: bool
    weights: WeightSource
    positional_embedding: PositionalEmbedding | None = None
    features: EncoderFeatures | None = None
    lora: LoraSpec | None = None
    in_trained_file: bool = False

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
        readable = get_args(EncoderFeatures) if self.library == "timm" else (None,)
        require(
            self.features in readable,
            f"BackboneSpec.features of a {self.library} encoder must be one of {readable}, got {self.features!r}.",
        )
        require(
            self.lora is None or self.features != "stages",
            "BackboneSpec.lora needs a vision transformer: library 'open_clip', or 'timm' with features 'pooled'.",
        )
