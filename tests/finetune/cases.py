"""Small runs of every kind, which several tests train in their own way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from perceptmetrics.datasets import LabelledImages
from tests.finetune.tiny import COLUMNS, LORA, classed, rated

SGD = ("algorithm=sgd", "lr=0.05")  # AdamW makes a step of full length from a gradient that is but rounding
TWO = "data=[{name: many}, {name: few}]"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A recipe's settings, and its data: `"ratings"`, `"columns"`, `"classes"`, `"groups"` or `"two"` data sets."""

    settings: tuple[str, ...]
    data: str = "ratings"


CASES = {
    "head, plcc": Case(settings=(*SGD, "batch_size=7")),
    "lora, mse": Case(settings=(*LORA, *SGD, "loss=mse", "batch_size=9")),
    "full, several ratings": Case(
        settings=(*SGD, "train=full", "task=attribute", "batch_size=9", "clip_norm=0.5"), data="columns"
    ),
    "lora, classes": Case(settings=(*LORA, "task=emotion", "loss=cross_entropy"), data="classes"),
    "head, ranking": Case(settings=(*SGD, "loss=ranking", "augmentation={horizontal_flip: true}")),
    "lora, two data sets, parts": Case(
        settings=(*LORA, *SGD, TWO, "batch_size=5", "accumulation=2", "second_stage=true", "head_first=true"),
        data="two",
    ),
}


def data_sets(kind: str, pictures: Path, few: Path) -> list[LabelledImages]:
    """The data of a case."""
    if kind == "two":
        return [replace(rated(pictures), name="many"), replace(rated(few), name="few")]
    if kind == "classes":
        return [classed(pictures)]
    return [rated(pictures, COLUMNS if kind == "columns" else COLUMNS[:1])]
