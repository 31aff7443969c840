"""From the raw outputs of an image to its scores.

A score map has no weights, so its kinds are functions as well as data. It acts in two steps, since training compares
labels with something in between: raw outputs -> predictions, which losses compare with labels -> scores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from perceptmetrics.spec.checks import require_finite
from perceptmetrics.spec.kinds import Family, Kind

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SCORE_MAPS", "AffineMap", "IdentityMap", "LogisticMap", "ScoreMap", "SoftmaxMap", "register_score_map"]


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


SCORE_MAPS: Family[ScoreMap] = Family("score map", ScoreMap, "perceptmetrics.score_maps")
SCORE_MAPS.declare(IdentityMap, AffineMap, LogisticMap, SoftmaxMap)


def register_score_map(score_map: type[ScoreMap], *, replace: bool = False) -> None:
    """Make a kind of score map known, to specifications in code and in JSON.

    Args:
        score_map: A frozen dataclass derived from `ScoreMap`.
        replace: Whether a kind of the same name may be replaced.

    Raises:
        InvalidSpecError: It is no such class, or the kind is registered already.
    """
    SCORE_MAPS.register(score_map, replace=replace)
