"""The encoder that turns pixels into features, and the low-rank adapters that may have tuned it."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass, fields
from typing import ClassVar, Literal, get_args

from perceptmetrics._util.text import shown
from perceptmetrics.spec.checks import require, require_at_most, require_finite, require_text
from perceptmetrics.spec.kinds import Family, Kind
from perceptmetrics.spec.sources import WeightSource

__all__ = [
    "ENCODERS",
    "POSITIONAL_EMBEDDINGS",
    "AttentionPart",
    "ClipEncoderSpec",
    "EncoderFeatures",
    "EncoderSpec",
    "LoraSpec",
    "PositionalEmbedding",
    "Rename",
    "TimmEncoderSpec",
]

PositionalEmbedding = Literal["drop", "keep", "interpolate", "interpolate_table"]
AttentionPart = Literal["q", "k", "v"]
EncoderFeatures = Literal["stages", "blocks", "pooled"]

POSITIONAL_EMBEDDINGS: tuple[PositionalEmbedding, ...] = ("drop", "keep", "interpolate", "interpolate_table")
_LONGEST_NAME = 200
_HIGHEST_RANK = 4_096  # which is no low rank any more
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
        require(self.rank > 0, f"LoraSpec.rank must be positive, got {shown(self.rank)}.")
        require_at_most("LoraSpec", _HIGHEST_RANK, rank=self.rank)
        require_finite("LoraSpec", alpha=self.alpha)
        require(self.alpha > 0, f"LoraSpec.alpha must be positive, got {shown(self.alpha)}.")
        require(0 <= self.dropout < 1, f"LoraSpec.dropout must be in [0, 1), got {shown(self.dropout)}.")
        require(
            len(self.targets) > 0 and self.targets == tuple(part for part in ATTENTION_PARTS if part in self.targets),
            f"LoraSpec.targets must name some of {ATTENTION_PARTS}, in this order, got {shown(self.targets)}.",
        )

    @property
    def scale(self) -> float:
        """Factor of the update."""
        return self.alpha / self.rank


@dataclass(frozen=True, kw_only=True)
class Rename:
    """How the names of some tensors in a published file differ from those of the library.

    Attributes:
        published: What these names begin with in the file.
        own: What stands there in the library; None for tensors that belong to something else and are not read.
    """

    published: str
    own: str | None

    def __post_init__(self) -> None:
        require_text("Rename", published=self.published)


@dataclass(frozen=True, kw_only=True)
class EncoderSpec(Kind, ABC):
    """The encoder that turns pixels into features.

    Attributes:
        library: Who builds the architecture, for people to read.
        reads_text: Whether the encoder belongs to a CLIP, whose text encoder reads prompts.
        architecture: The architecture's name in that library.
        quick_gelu: Whether the transformers use QuickGELU. The OpenAI weights do. It is never guessed:
            the built model is checked against it.
        weights: Where the weights come from.
        lora: Adapters that have tuned the attention of a vision transformer; None for none. Their weights
            lie in the metric's own trained file.
        in_trained_file: Whether that file holds the encoder too, so that nothing else is needed. Otherwise the encoder
            comes from `weights`.
    """

    library: ClassVar[str]
    reads_text: ClassVar[bool] = False
    architecture: str
    quick_gelu: bool
    weights: WeightSource
    lora: LoraSpec | None = None
    in_trained_file: bool = False

    def __post_init__(self) -> None:
        name = type(self).__name__
        require_text(name, architecture=self.architecture)
        require(
            len(self.architecture) <= _LONGEST_NAME and self.architecture.isprintable(),
            f"{name}.architecture must be the name of an architecture, got {shown(self.architecture)}.",
        )
        require(
            isinstance(self.quick_gelu, bool),
            f"{name}.quick_gelu must be stated as True or False, got {shown(self.quick_gelu)}.",
        )

    def is_built_as(self, other: EncoderSpec) -> bool:
        """Whether two encoders compute the same, given the same weights."""
        names = {field.name for field in fields(self)} - {"weights", "lora", "in_trained_file", "renames"}
        return type(self) is type(other) and all(getattr(self, name) == getattr(other, name) for name in names)


@dataclass(frozen=True, kw_only=True)
class ClipEncoderSpec(EncoderSpec):
    """The image encoder of a CLIP that open_clip builds: its projected embedding.

    Attributes:
        positional_embedding: What becomes of the positional embedding: `"drop"` (any size; CLIP-IQA, section 3.2),
            `"keep"` (training size only), `"interpolate"` (any size) or `"interpolate_table"` (any size; the whole
            table, summary row included, is resized as if it were one image of tokens by channels: some published
            prompts were trained so).
    """

    kind: ClassVar[str] = "open_clip"
    library: ClassVar[str] = "open_clip"
    reads_text: ClassVar[bool] = True
    positional_embedding: PositionalEmbedding

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.positional_embedding in POSITIONAL_EMBEDDINGS,
            f"ClipEncoderSpec.positional_embedding must be one of {POSITIONAL_EMBEDDINGS}, "
            f"got {shown(self.positional_embedding)}.",
        )


@dataclass(frozen=True, kw_only=True)
class TimmEncoderSpec(EncoderSpec):
    """A network of timm.

    Attributes:
        features: What is read off the network: `"stages"`, the mean and standard deviation of every feature stage of a
            convolutional network, `"blocks"`, those of every block of an EfficientNet, or `"pooled"`, what the library
            itself would give to a classifier.
        renames: Names in the file of `weights`, where they are not those of the library; the first that fits counts.
    """

    kind: ClassVar[str] = "timm"
    library: ClassVar[str] = "timm"
    features: EncoderFeatures
    renames: tuple[Rename, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.features in get_args(EncoderFeatures),
            f"TimmEncoderSpec.features must be one of {get_args(EncoderFeatures)}, got {shown(self.features)}.",
        )
        require(
            self.lora is None or self.features == "pooled",
            "TimmEncoderSpec.lora needs a vision transformer, so features must be 'pooled'.",
        )


ENCODERS: Family[EncoderSpec] = Family("encoder", EncoderSpec, "perceptmetrics.encoders")
ENCODERS.declare(ClipEncoderSpec, TimmEncoderSpec)
