"""The results of explaining images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from perceptmetrics.explain.attention import AttentionMap
from perceptmetrics.explain.crops import ViewScores
from perceptmetrics.explain.heads import Head
from perceptmetrics.explain.saliency import Saliency
from perceptmetrics.scoring.results import ScoredImage

__all__ = ["ExplainedHead", "ExplainedImage", "Explanations"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ExplainedHead:
    """The attention of a head in an image, and its effect on the scores.

    Attributes:
        head: The head.
        change: Shape (K,): the scores with the head's attention made uniform, minus the scores.
        own: The attention of the head.
        pretrained: The attention of the head before training; None if that is the same or unknown.
    """

    head: Head
    change: Tensor
    own: AttentionMap
    pretrained: AttentionMap | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ExplainedImage:
    """An image and the explanations of its scores.

    Attributes:
        name: Name of the image.
        pixels: Shape (h, w, 3), uint8: the shrunk image.
        scores: Shape (K,): its scores.
        heads: The chosen heads.
        saliency: Its saliency, shape (h, w) like the pixels; None if not requested.
        saliency_size: Height and width to which the image was shrunk for the saliency; None if it was not shrunk.
        views: The scores of its views; None if not requested.
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
        images: The images; with heads, those whose predictions the heads change most come first.
        left_out: Names of readable images that were left out because the heads change them less.
        failed: Images that could not be read.
        notes: What is missing and why.
    """

    metric: str
    labels: tuple[str, ...]
    images: tuple[ExplainedImage, ...]
    left_out: tuple[str, ...]
    failed: tuple[ScoredImage, ...]
    notes: tuple[str, ...]
