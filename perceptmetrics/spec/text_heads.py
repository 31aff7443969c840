"""Heads that compare images with texts, or with what was learned from texts, beside those of CLIP-IQA."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import ClassVar

from perceptmetrics._util.text import shown
from perceptmetrics.spec.checks import require, require_text, require_widths
from perceptmetrics.spec.heads import HEADS, HeadSpec
from perceptmetrics.spec.prompt_heads import PromptPair, TextHeadSpec
from perceptmetrics.spec.sources import WeightSource

__all__ = ["FeaturePairsHeadSpec", "MagnitudeHeadSpec", "TextAxis", "TextGridHeadSpec"]

_MOST_TEXTS = 10_000
_MOST_PAIRS = 1_000


@dataclass(frozen=True, kw_only=True)
class TextAxis:
    """Words that stand for each other in a text.

    Attributes:
        name: Name of their place in the template.
        words: The words.
    """

    name: str
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        require_text("TextAxis", name=self.name)
        require(
            len(self.words) > 1 and len(set(self.words)) == len(self.words),
            f"TextAxis.words needs at least two, all different, got {shown(self.words)}.",
        )


@dataclass(frozen=True, kw_only=True)
class TextGridHeadSpec(TextHeadSpec):
    """Scaled cosines with a text for each combination of words (Zhang et al., "LIQE", CVPR 2023, section 3).

    Attributes:
        template: The text, with the names of the axes in braces.
        axes: The words; the last axis varies fastest over the outputs.
    """

    kind: ClassVar[str] = "text_grid"
    template: str
    axes: tuple[TextAxis, ...]

    def __post_init__(self) -> None:
        places = [f"{{{axis.name}}}" for axis in self.axes]
        require(
            len(places) > 0
            and len(set(places)) == len(places)
            and all(self.template.count(place) == 1 for place in places)
            and self.template.count("{") == len(places),
            f"TextGridHeadSpec.template needs each of {places} once and no other, got {shown(self.template)}.",
        )
        require(self.outputs <= _MOST_TEXTS, f"TextGridHeadSpec has {self.outputs:,} texts, more than {_MOST_TEXTS:,}.")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of words of each axis."""
        return tuple(len(axis.words) for axis in self.axes)

    @property
    def outputs(self) -> int:
        """One for each text."""
        return math.prod(self.sizes)

    @property
    def texts(self) -> list[str]:
        """The texts in the order of the outputs."""
        names = [axis.name for axis in self.axes]
        combinations = itertools.product(*(axis.words for axis in self.axes))
        return [self.template.format(**dict(zip(names, words, strict=True))) for words in combinations]


@dataclass(frozen=True, kw_only=True)
class FeaturePairsHeadSpec(HeadSpec):
    """Softmax over the scaled cosines with pairs of features, positive and negative, averaged over the pairs.

    Attributes:
        pairs: Number P of pairs.
        weights: The trained file, which holds the features, shape (2 P, D), those of a pair next to each other. None
            when it lies beside the specification.
        width: Length D of a feature.
        scale: Factor of the cosines.
        temperature: Divides the scaled cosines.
    """

    kind: ClassVar[str] = "feature_pairs"
    pairs: int
    width: int
    weights: WeightSource | None
    scale: float = 100.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        require(
            0 < self.pairs <= _MOST_PAIRS,
            f"FeaturePairsHeadSpec.pairs must be from 1 to {_MOST_PAIRS:,}, got {shown(self.pairs)}.",
        )
        require_widths("FeaturePairsHeadSpec", (self.width, 2 * self.pairs))
        require(
            0 < self.scale < math.inf and 0 < self.temperature < math.inf,
            f"FeaturePairsHeadSpec.scale and temperature must be positive, got {self.scale} and {self.temperature}.",
        )

    @property
    def outputs(self) -> int:
        """The mean over the pairs."""
        return 1

    @property
    def is_trained(self) -> bool:
        """Always."""
        return True

    @property
    def trained_file(self) -> WeightSource | None:
        """The file with the features."""
        return self.weights

    @property
    def reads_length(self) -> bool:
        """No: cosines."""
        return False

    def with_trained_file(self, source: WeightSource | None) -> FeaturePairsHeadSpec:
        """The same pairs from another file."""
        return replace(self, weights=source)

    def describe_training(self) -> str:
        """Of the features."""
        return "pairs of features"


@dataclass(frozen=True, kw_only=True)
class MagnitudeHeadSpec(TextHeadSpec):
    """Cosines with antonyms and the magnitude of the features, fused (Liao et al., arXiv 2511.09948).

    The cosine cue c is the mean over the pairs of CLIP-IQA's probability. The magnitude cue m is the mean over the
    features of the Box-Cox transform `((x + 1)^power - 1) / power` of `x = |f| / (std(|f|) + 1e-6)`. The output is
    their mean with the softmax of `(base_cosine + c - m, base_magnitude - c + m)` as weights.

    Attributes:
        pairs: The antonyms.
        power: Power of the Box-Cox transform.
        base_cosine: Weight of the cosine cue where the cues agree, before the softmax.
        base_magnitude: Weight of the magnitude cue there.
    """

    kind: ClassVar[str] = "magnitude"
    pairs: tuple[PromptPair, ...]
    power: float = 0.5
    base_cosine: float = 1.0
    base_magnitude: float = 0.6

    def __post_init__(self) -> None:
        require(len(self.pairs) > 0, "MagnitudeHeadSpec.pairs needs at least one pair of prompts.")
        require(0 < self.power < math.inf, f"MagnitudeHeadSpec.power must be positive, got {shown(self.power)}.")

    @property
    def outputs(self) -> int:
        """The fused cue."""
        return 1

    @property
    def reads_length(self) -> bool:
        """Yes: their magnitude."""
        return True


HEADS.declare(TextGridHeadSpec, FeaturePairsHeadSpec, MagnitudeHeadSpec)
