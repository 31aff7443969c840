"""From the outputs of an image's views to those of the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from perceptmetrics._util.text import shown
from perceptmetrics.spec.checks import require, require_finite, require_widths
from perceptmetrics.spec.sources import WeightSource

__all__ = ["Aggregation", "PoolSpec", "RegressorSpec", "regressor_inputs"]

Aggregation = Literal["mean", "concat"]


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
        require_widths("RegressorSpec", self.widths)
        require_finite("RegressorSpec", negative_slope=self.negative_slope)


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
            f"PoolSpec.aggregation must be 'mean' or 'concat', got {shown(self.aggregation)}.",
        )
        require(
            self.aggregation == "mean" or self.regressor is not None,
            "PoolSpec.aggregation 'concat' needs a regressor that reads the views side by side.",
        )


def regressor_inputs(aggregation: Aggregation, outputs: int, views: int | None) -> int:
    """Number of values that a regressor reads.

    Args:
        aggregation: See `PoolSpec`.
        outputs: Number of outputs of a view.
        views: Number of views of an image; None when it depends on the size of the image.

    Raises:
        InvalidSpecError: Views whose number varies would stand side by side.
    """
    if aggregation == "mean":
        return outputs
    require(
        views is not None,
        "The aggregation 'concat' needs as many views of every image; state 'mean' for views whose number depends on "
        "the size of the image.",
    )
    return outputs * (views or 0)
