"""A data set with its share of a training."""

from __future__ import annotations

from dataclasses import dataclass

from perceptmetrics.datasets import LabelledImages, Split
from perceptmetrics.finetune.feeds import Feed
from perceptmetrics.finetune.objectives import Objective

__all__ = ["TrainingSet"]


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """A data set with its share of a training.

    Attributes:
        dataset: The images.
        split: Which are for what.
        feed: Where their samples come from.
        objective: Their loss.
        weight: Factor of the loss.
        replicas: How often an image is shown in an epoch.
    """

    dataset: LabelledImages
    split: Split
    feed: Feed
    objective: Objective
    weight: float
    replicas: int
