"""From the raw outputs of an image to its scores.

A score map has no weights, so its kinds are functions as well as data. It acts in two steps, since training compares
labels with something in between: raw outputs -> predictions, which losses compare with labels -> scores.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from perceptmetrics._util.text import shown
from perceptmetrics.spec.checks import require, require_finite
from perceptmetrics.spec.kinds import Family, Kind

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "SCORE_MAPS",
    "AffineMap",
    "ExpectedLevelMap",
    "IdentityMap",
    "LogisticMap",
    "MarginalMap",
    "ScoreMap",
    "SoftmaxMap",
    "register_score_map",
]


class ScoreMap(Kind, ABC):
    """How raw outputs become scores. `map(raw)` is `map.scores(map.predictions(raw))`, differentiable.

    Attributes:
        gives_probabilities: Whether the scores of an image are probabilities of its labels, which add up to 1.
        is_bounded: Whether scores stay within bounds whatever the raw outputs are.
        has_raw: Whether `create_metric` takes `raw=True`, which leaves the map out.
    """

    spec_class: ClassVar[type[ScoreMap]]
    gives_probabilities: ClassVar[bool] = False
    is_bounded: ClassVar[bool] = False
    has_raw: ClassVar[bool] = False

    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        cls.spec_class = cls  # it is built from itself

    def outputs(self, raw: int) -> int:
        """Number of scores that as many raw outputs give."""
        return raw

    def predictions(self, raw: Tensor) -> Tensor:
        """Raw outputs, shape (..., K), as losses compare them with labels: shape (..., outputs(K))."""
        return raw

    def for_unit_ratings(self) -> ScoreMap:
        """The same map with scores in [0, 1], as training has the ratings of data sets."""
        return self

    @abstractmethod
    def scores(self, predictions: Tensor) -> Tensor:
        """Predictions as users get them; same shape."""

    def __call__(self, raw: Tensor) -> Tensor:
        """Raw outputs, shape (..., K), to scores, shape (..., outputs(K))."""
        return self.scores(self.predictions(raw))


@dataclass(frozen=True, kw_only=True)
class IdentityMap(ScoreMap):
    """Scores are the raw outputs."""

    kind: ClassVar[str] = "identity"

    def scores(self, predictions: Tensor) -> Tensor:
        """As they are."""
        return predictions


@dataclass(frozen=True, kw_only=True)
class AffineMap(ScoreMap):
    """`scale * raw + shift`.

    Attributes:
        scale: Factor.
        shift: Offset.
    """

    kind: ClassVar[str] = "affine"
    has_raw: ClassVar[bool] = True
    scale: float
    shift: float

    def __post_init__(self) -> None:
        require_finite("AffineMap", scale=self.scale, shift=self.shift)

    def scores(self, predictions: Tensor) -> Tensor:
        """Scaled and shifted."""
        return self.scale * predictions + self.shift


@dataclass(frozen=True, kw_only=True)
class LogisticMap(ScoreMap):
    """`1 / (1 + exp(-(scale * raw + shift)))`: scores in (0, 1).

    Attributes:
        scale: Factor.
        shift: Offset.
    """

    kind: ClassVar[str] = "logistic"
    is_bounded: ClassVar[bool] = True
    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        require_finite("LogisticMap", scale=self.scale, shift=self.shift)

    def scores(self, predictions: Tensor) -> Tensor:
        """In (0, 1)."""
        return (self.scale * predictions + self.shift).sigmoid()


@dataclass(frozen=True, kw_only=True)
class SoftmaxMap(ScoreMap):
    """Softmax over the labels, so that the scores are probabilities."""

    kind: ClassVar[str] = "softmax"
    gives_probabilities: ClassVar[bool] = True
    is_bounded: ClassVar[bool] = True
    has_raw: ClassVar[bool] = True

    def scores(self, predictions: Tensor) -> Tensor:
        """Probabilities."""
        return predictions.softmax(dim=-1)


@dataclass(frozen=True, kw_only=True)
class MarginalMap(ScoreMap):
    """Probabilities of the words of one axis: softmax over all combinations, summed over the other axes.

    Attributes:
        sizes: Number of words of each axis; their product is the number of raw outputs, the last axis varying fastest.
        axis: Index of the axis.
    """

    kind: ClassVar[str] = "marginal"
    gives_probabilities: ClassVar[bool] = True
    is_bounded: ClassVar[bool] = True
    sizes: tuple[int, ...]
    axis: int

    def __post_init__(self) -> None:
        require(
            0 <= self.axis < len(self.sizes) and all(size > 0 for size in self.sizes),
            f"MarginalMap.axis must be the index of one of the sizes {shown(self.sizes)}, got {shown(self.axis)}.",
        )

    def outputs(self, raw: int) -> int:
        """Number of words of the axis."""
        require(raw == math.prod(self.sizes), f"MarginalMap.sizes {shown(self.sizes)} must give the {raw} raw outputs.")
        return self.sizes[self.axis]

    def predictions(self, raw: Tensor) -> Tensor:
        """Logarithms of the probabilities."""
        others = [index - len(self.sizes) for index in range(len(self.sizes)) if index != self.axis]
        grid = raw.log_softmax(dim=-1).unflatten(-1, self.sizes)  # type: ignore[no-untyped-call]
        predictions: Tensor = grid.logsumexp(dim=others) if others else grid
        return predictions

    def scores(self, predictions: Tensor) -> Tensor:
        """Probabilities."""
        return predictions.softmax(dim=-1)


@dataclass(frozen=True, kw_only=True)
class ExpectedLevelMap(ScoreMap):
    """Expected level of the softmax, over levels that are evenly spread.

    Attributes:
        lowest: The first level.
        highest: The last one.
        levels: Number of levels; the raw outputs are those of the first level, then those of the second, and so on.
    """

    kind: ClassVar[str] = "expected_level"
    is_bounded: ClassVar[bool] = True
    lowest: float
    highest: float
    levels: int

    def __post_init__(self) -> None:
        require(self.levels > 1, f"ExpectedLevelMap.levels must be at least 2, got {shown(self.levels)}.")
        require(
            self.lowest < self.highest,
            f"ExpectedLevelMap.lowest must be below highest, got {shown((self.lowest, self.highest))}.",
        )

    def outputs(self, raw: int) -> int:
        """The expectation."""
        require(raw % self.levels == 0, f"ExpectedLevelMap.levels {self.levels} must divide the {raw} raw outputs.")
        return 1

    def predictions(self, raw: Tensor) -> Tensor:
        """The expectation, shape (..., 1)."""
        each = raw.softmax(dim=-1).unflatten(-1, (self.levels, -1)).sum(dim=-1)  # type: ignore[no-untyped-call]
        step = (self.highest - self.lowest) / (self.levels - 1)
        levels = each.new_tensor([self.lowest + index * step for index in range(self.levels)])
        return each @ levels[:, None]  # type: ignore[no-any-return]

    def scores(self, predictions: Tensor) -> Tensor:
        """As they are."""
        return predictions

    def for_unit_ratings(self) -> ExpectedLevelMap:
        """Levels from 0 to 1."""
        return replace(self, lowest=0.0, highest=1.0)


SCORE_MAPS: Family[ScoreMap] = Family("score map", ScoreMap, "perceptmetrics.score_maps")
SCORE_MAPS.declare(IdentityMap, AffineMap, LogisticMap, SoftmaxMap, MarginalMap, ExpectedLevelMap)


def register_score_map(score_map: type[ScoreMap], *, replace: bool = False) -> None:
    """Make a kind of score map known, to specifications in code and in JSON.

    Args:
        score_map: A frozen dataclass derived from `ScoreMap`.
        replace: Whether a kind of the same name may be replaced.

    Raises:
        InvalidSpecError: It is no such class, or the kind is registered already.
    """
    SCORE_MAPS.register(score_map, replace=replace)
