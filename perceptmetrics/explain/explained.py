"""What was found about why images have their scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from perceptmetrics.explain.attention import AttentionMap
from perceptmetrics.explain.crops import ViewScores
from perceptmetrics.explain.heads import Head
from perceptmetrics.explain.saliency import Saliency

__all__ = ["ExplainedHead", "ExplainedImage", "Explanations"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ExplainedHead:
    """A head in an image.

    Attributes:
        head: The head.
        change: Shape (K,): the scores with its attention made uniform, minus the scores.
        own: Where it looks.
        untouched: Where it looks before the metric was trained; None where that is the same or not known.
    """

    head: Head
    change: Tensor
    own: AttentionMap
    untouched: AttentionMap | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ExplainedImage:
    """An image and what is said about it.

    Attributes:
        name: Its name.
        pixels: Shape (h, w, 3), uint8: the image shrunk.
        scores: Shape (K,): its scores.
        heads: Where chosen heads look.
        saliency: Where its score comes from, shape (h, w) like the pixels; None if that was not asked for.
        saliency_size: Height and width to which the image was shrunk for it; None where it was not.
        views: What its views say.
    """

    name: str
    pixels: NDArray[np.uint8]
    scores: Tensor
    heads: tuple[ExplainedHead, ...] = ()
    saliency: Saliency | None = None
    saliency_size: tuple[int, int] | None = None
    views: ViewScores | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanations:
    """Explained images.

    Attributes:
        metric: Name of the metric.
        labels: Names of its K scores; empty for a single one.
        images: The images; with heads, those whose predictions they change most come first.
        left_out: Names of readable images that were left out, since the heads change them less.
        failed: Names of images that could not be read, each with the reason.
        notes: What is missing, and why.
    """

    metric: str
    labels: tuple[str, ...]
    images: tuple[ExplainedImage, ...]
    left_out: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
