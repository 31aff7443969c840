"""What a metric is, as pure data.

A `MetricSpec` says everything that is needed to build a metric and to read its scores: where the
weights come from, how an image is seen, what becomes of the features, and what the number means.
It holds no tensors and imports no torch, so listing and describing metrics is instant. Everything that
would be dangerous to guess (QuickGELU, range, direction, paper, licence) has no default.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from perceptmetrics.errors import InvalidSpecError

__all__ = [
    "AntonymHeadSpec",
    "BackboneSpec",
    "CardSpec",
    "HeadSpec",
    "HubFile",
    "MetricSpec",
    "MlpHeadSpec",
    "PackageFile",
    "PositionalEmbedding",
    "PromptPair",
    "ScoreSpec",
    "ViewSpec",
    "WeightSource",
    "WholeView",
]

PositionalEmbedding = Literal["drop", "keep", "interpolate"]
Library = Literal["open_clip", "timm"]
Task = Literal["quality", "memorability", "emotion"]
ScoreMap = Literal["identity", "logistic"]
Activation = Literal["relu", "gelu"]
FeatureMap = Literal["identity", "signed_log"]

POSITIONAL_EMBEDDINGS: tuple[PositionalEmbedding, ...] = ("drop", "keep", "interpolate")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InvalidSpecError(message)


def _require_text(owner: str, **fields: str) -> None:
    for name, value in fields.items():
        _require(isinstance(value, str) and bool(value.strip()), f"{owner}.{name} must be stated, got {value!r}.")


def _require_sha256(owner: str, value: str | None) -> None:
    _require(
        value is None or _SHA256.fullmatch(value) is not None,
        f"{owner}.sha256 must be 64 lower-case hexadecimal digits, or None when it is unknown; got {value!r}.",
    )


def _require_rgb(owner: str, **fields: tuple[float, ...]) -> None:
    for name, value in fields.items():
        _require(len(value) == 3, f"{owner}.{name} needs three numbers (R, G, B), got {value!r}.")


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file in a repository of the Hugging Face Hub.

    Attributes:
        repo: Repository, `"organisation/name"`.
        filename: Path of the file inside the repository.
        revision: Commit hash (pinned) or branch.
        sha256: Hash of the content; None when it is unknown, then the first download records it.
        size: Size in bytes; None when it is unknown.
    """

    kind: ClassVar[str] = "hub"
    repo: str
    filename: str
    revision: str
    sha256: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        _require_text("HubFile", repo=self.repo, filename=self.filename, revision=self.revision)
        _require(self.repo.count("/") == 1, f"HubFile.repo must read 'organisation/name', got {self.repo!r}.")
        _require_sha256("HubFile", self.sha256)


@dataclass(frozen=True, kw_only=True)
class PackageFile:
    """A file that an installed Python package carries.

    Attributes:
        package: Import name of the package.
        filename: Path of the file inside the package, with forward slashes.
        sha256: Hash of the content, or None.
        size: Size in bytes, or None.
        extra: Extra of this project that installs the package; None when it is always there.
    """

    kind: ClassVar[str] = "package"
    package: str
    filename: str
    sha256: str | None = None
    size: int | None = None
    extra: str | None = None

    def __post_init__(self) -> None:
        _require_text("PackageFile", package=self.package, filename=self.filename)
        _require_sha256("PackageFile", self.sha256)


WeightSource: TypeAlias = HubFile | PackageFile


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
        _require(
            self.library in ("open_clip", "timm"),
            f"BackboneSpec.library must be 'open_clip' or 'timm', got {self.library!r}.",
        )
        _require_text("BackboneSpec", architecture=self.architecture)
        _require(
            isinstance(self.quick_gelu, bool),
            f"BackboneSpec.quick_gelu must be stated as True or False, got {self.quick_gelu!r}.",
        )
        allowed = POSITIONAL_EMBEDDINGS if self.library == "open_clip" else (None,)
        _require(
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
        _require(
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
        _require(len(self.views) > 0, "ViewsSpec.views needs at least one view.")
        _require_rgb("ViewsSpec", mean=self.mean, std=self.std)
        _require(all(value > 0 for value in self.std), f"ViewsSpec.std must be positive, got {self.std!r}.")


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
        _require_text("PromptPair", name=self.name, positive=self.positive, negative=self.negative)
        _require(
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
        _require(len(self.pairs) > 0, "AntonymHeadSpec.pairs needs at least one pair of prompts.")
        names = [pair.name for pair in self.pairs]
        repeated = sorted({name for name in names if names.count(name) > 1})
        _require(not repeated, f"AntonymHeadSpec.pairs names {repeated} more than once; labels must be unique.")


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
        _require(
            len(self.widths) >= 2 and all(width > 0 for width in self.widths),
            f"MlpHeadSpec.widths needs at least an input and an output size, all positive; got {self.widths!r}.",
        )
        _require(
            self.activation in ("relu", "gelu"),
            f"MlpHeadSpec.activation must be 'relu' or 'gelu', got {self.activation!r}.",
        )
        _require(
            self.feature_map in ("identity", "signed_log"),
            f"MlpHeadSpec.feature_map must be 'identity' or 'signed_log', got {self.feature_map!r}.",
        )


HeadSpec: TypeAlias = AntonymHeadSpec | MlpHeadSpec


@dataclass(frozen=True, kw_only=True)
class ScoreSpec:
    """What the number means.

    Attributes:
        lower: Lowest possible score; None when it is unbounded.
        upper: Highest possible score; None when it is unbounded.
        higher_is_better: Direction; it decides the sign of the loss.
        labels: Names of the outputs of a metric with several; empty for a single score.
        map: How a raw output becomes a score: `"identity"`, or `"logistic"`, which is
            `1 / (1 + exp(-(scale * raw + shift)))`.
        scale: Factor of the map.
        shift: Offset of the map.
    """

    lower: float | None
    upper: float | None
    higher_is_better: bool
    labels: tuple[str, ...] = ()
    map: ScoreMap = "identity"
    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        _require(
            isinstance(self.higher_is_better, bool),
            f"ScoreSpec.higher_is_better must be stated as True or False, got {self.higher_is_better!r}.",
        )
        _require(
            self.lower is None or self.upper is None or self.lower < self.upper,
            f"ScoreSpec.lower must be below ScoreSpec.upper, got {self.lower!r} and {self.upper!r}.",
        )
        _require(
            self.map in ("identity", "logistic"),
            f"ScoreSpec.map must be 'identity' or 'logistic', got {self.map!r}.",
        )
        _require(len(set(self.labels)) == len(self.labels), f"ScoreSpec.labels repeat: {self.labels!r}.")


@dataclass(frozen=True, kw_only=True)
class CardSpec:
    """What a user should know before relying on the metric.

    Attributes:
        summary: One sentence: what the score says.
        paper: Authors, title, venue and year.
        paper_url: Where the paper can be read.
        licence: Terms of the weights; the code is Apache-2.0.
        training_data: What the weights were trained on.
        limits: Known limits and biases.
    """

    summary: str
    paper: str
    paper_url: str
    licence: str
    training_data: str = ""
    limits: str = ""

    def __post_init__(self) -> None:
        _require_text(
            "CardSpec", summary=self.summary, paper=self.paper, paper_url=self.paper_url, licence=self.licence
        )


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A metric: pure data, from which `create_metric` builds the model.

    Attributes:
        name: Unique name in the registry.
        task: What is predicted.
        backbone: The encoder.
        views: How an image is shown to the encoder.
        head: From features to raw outputs.
        score: From raw outputs to scores, and what they mean.
        card: Paper, licence, training data, limits.
    """

    name: str
    task: Task
    backbone: BackboneSpec
    views: ViewsSpec
    head: HeadSpec
    score: ScoreSpec
    card: CardSpec

    def __post_init__(self) -> None:
        _require(
            _NAME.fullmatch(self.name) is not None,
            f"MetricSpec.name must consist of letters, digits and _ . + -, got {self.name!r}.",
        )
        _require(
            self.task in ("quality", "memorability", "emotion"),
            f"MetricSpec.task must be 'quality', 'memorability' or 'emotion', got {self.task!r}.",
        )
        if isinstance(self.head, AntonymHeadSpec):
            self._check_antonym_head(self.head)
        else:
            outputs = self.head.widths[-1]
            _require(
                outputs == max(1, len(self.score.labels)),
                f"{self.name}: the head has {outputs} outputs, but the score names {len(self.score.labels)} labels.",
            )

    def _check_antonym_head(self, head: AntonymHeadSpec) -> None:
        _require(
            self.backbone.library == "open_clip",
            f"{self.name}: an antonym head compares images with prompts, so it needs a CLIP backbone "
            f"(library 'open_clip'), got {self.backbone.library!r}.",
        )
        single = head.average or len(head.pairs) == 1
        expected = () if single else tuple(pair.name for pair in head.pairs)
        _require(
            self.score.labels == expected,
            f"{self.name}: ScoreSpec.labels must be {expected} to match the prompt pairs, got {self.score.labels}.",
        )

    @property
    def lower_better(self) -> bool:
        """Whether a lower score is better (pyiqa's spelling)."""
        return not self.score.higher_is_better

    @property
    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Every file that the metric is built from."""
        trained = (self.head.weights,) if isinstance(self.head, MlpHeadSpec) else ()
        return (self.backbone.weights, *trained)
