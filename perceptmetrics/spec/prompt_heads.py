"""Heads that compare images with prompts: antonym pairs, one prompt, or a prompt of each image."""

from __future__ import annotations

from abc import ABC
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from perceptmetrics._util.text import shown
from perceptmetrics.spec.checks import require, require_at_most, require_finite, require_text
from perceptmetrics.spec.heads import HEADS, HeadSpec
from perceptmetrics.spec.sources import WeightSource

if TYPE_CHECKING:
    from perceptmetrics.spec.metric import MetricSpec

__all__ = [
    "AntonymHeadSpec",
    "ContextPosition",
    "ContextSpec",
    "CosineHeadSpec",
    "PromptHeadSpec",
    "PromptPair",
    "TextHeadSpec",
]

ContextPosition = Literal["middle", "end"]

_MOST_PAIRS = 1_000
_LONGEST_CONTEXT = 1_000  # vectors; CLIP's own texts have at most 77 tokens


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


class TextHeadSpec(HeadSpec, ABC):
    """Heads that compare images with texts, by cosines with what the text encoder of a CLIP reads in them."""

    needs_text_encoder: ClassVar[bool] = True

    @property
    def reads_length(self) -> bool:
        """No: cosines."""
        return False

    def check(self, metric: MetricSpec) -> None:
        """Texts are compared with the image encoder as CLIP has it."""
        require(
            metric.encoder.lora is None,
            f"{metric.name}: LoRA's weights lie in a trained file with a head of layers, and this metric has prompts.",
        )


@dataclass(frozen=True, kw_only=True)
class AntonymHeadSpec(TextHeadSpec):
    """CLIP-IQA's head: softmax over the scaled cosines with an antonym pair (section 3.1, Eq. 3).

    Attributes:
        pairs: The antonym pairs, one output each.
        average: Average the pairs into one output.
        context: Learned context around the prompts (CLIP-IQA+); None for the texts as they are.
    """

    kind: ClassVar[str] = "antonym"
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

    def check(self, metric: MetricSpec) -> None:
        """Without a regressor the scores are named after the pairs."""
        super().check(metric)
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
class CosineHeadSpec(TextHeadSpec):
    """The naive baseline: plain cosine with a single prompt (CLIP-IQA, Fig. 2a).

    Attributes:
        prompt: The prompt.
    """

    kind: ClassVar[str] = "cosine"
    prompt: str

    def __post_init__(self) -> None:
        require_text("CosineHeadSpec", prompt=self.prompt)

    @property
    def outputs(self) -> int:
        """The cosine."""
        return 1


@dataclass(frozen=True, kw_only=True)
class PromptHeadSpec(TextHeadSpec):
    """How well an image goes with its own text (Hessel et al., "CLIPScore", EMNLP 2021).

    Attributes:
        weight: The raw output is `weight * cosine`.
        clamp: Whether negative cosines count as 0, as CLIPScore has them.
        scaled: Whether the cosine is also multiplied by the factor that the CLIP itself has learned, about 100.
    """

    kind: ClassVar[str] = "prompt"
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


HEADS.declare(AntonymHeadSpec, CosineHeadSpec, PromptHeadSpec)
