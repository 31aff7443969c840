"""Data sets without files, of the kind that a recipe asks for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from perceptmetrics.datasets import LabelledImages, Scale
from perceptmetrics.finetune.recipe import DataRecipe, Recipe

IMAGES = 320


@dataclass(frozen=True)
class Grey:
    number: int

    @property
    def identity(self) -> str:
        return f"grey {self.number}"

    def render(self) -> torch.Tensor:
        return torch.full((3, 400, 600), self.number % 256, dtype=torch.uint8)


def data_for(recipe: Recipe) -> list[LabelledImages]:
    return [_data_set(recipe, entry) for entry in recipe.data]


def _data_set(recipe: Recipe, entry: DataRecipe) -> LabelledImages:
    images = tuple(Grey(number) for number in range(IMAGES))
    names = tuple(str(number) for number in range(IMAGES))
    if recipe.task == "emotion":
        labels = tuple(f"emotion {number}" for number in range(6 if entry.name == "emotionroi" else 8))
        classes = np.arange(IMAGES) % len(labels)
        return LabelledImages(
            name=entry.name, task=recipe.task, images=images, names=names, labels=labels, classes=classes
        )
    labels = ("beauty", "arousal", "valence") if recipe.task == "attribute" else ("mos",)
    ratings = np.linspace(0, 1, IMAGES * len(labels)).reshape(IMAGES, -1)
    scales = (Scale(lower=0, upper=1),) * len(labels)
    return LabelledImages(
        name=entry.name, task=recipe.task, images=images, names=names, labels=labels, ratings=ratings, scales=scales
    )
