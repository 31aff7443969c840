"""LaMem: Large-scale Image Memorability.

Paper: Khosla, Raju, Torralba and Oliva, "Understanding and Predicting Image Memorability at a Large Scale", ICCV 2015.

Layout: `lamem/` or its content: `images/` and `splits/` with `train_1.txt`, `val_1.txt`, `test_1.txt` up to 5. Each
line holds the name of an image and its memorability.

Scale: 0 to 1, higher is more memorable. Splits: the five published ones, about 75/5/20.
Uncertain: whether an image has the same memorability in all lists; if not, the mean is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import LabelledImages, Scale, Split
from perceptmetrics.datasets.lines import read_pairs
from perceptmetrics.datasets.listing import Listing, Missing, assemble
from perceptmetrics.datasets.locate import locate, one_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["INFO", "read"]

INFO = DatasetInfo(
    name="lamem",
    title="LaMem",
    task="memorability",
    images=58_741,
    paper="Khosla et al., Understanding and Predicting Image Memorability at a Large Scale, ICCV 2015",
    licence="non-commercial research",
    obtain="memorability.csail.mit.edu/download.html",
    scale="0..1, higher is more memorable",
    splits="the 5 published ones, 75/5/20",
    split_count=5,
)
SPLITS = range(1, 6)
PARTS = ("train", "val", "test")


def read(root: Path, missing: Missing) -> LabelledImages:
    """Read the official download; see the module."""
    folder = one_of(root, "splits/train_1.txt", "lamem/splits/train_1.txt").parent
    scores: dict[str, list[float]] = {}
    members: list[list[list[str]]] = []
    for number in SPLITS:
        if not (folder / f"train_{number}.txt").is_file():
            break
        parts = [read_pairs(folder / f"{part}_{number}.txt", "an image and its memorability") for part in PARTS]
        members.append([[name for _, name in part] for part in parts])
        for score, name in (pair for part in parts for pair in part):
            scores.setdefault(name, []).append(score)
    names = sorted(scores)
    index_of = {name: index for index, name in enumerate(names)}
    splits = [[np.array([index_of[name] for name in part], dtype=np.intp) for part in split] for split in members]
    listing = Listing(
        info=INFO,
        names=tuple(names),
        images=tuple(locate(folder.parent / "images", names)),
        labels=("memorability",),
        ratings=np.array([np.mean(scores[name]) for name in names])[:, None],
        scales=(Scale(lower=0, upper=1),),
        official_splits=tuple(Split(train=train, validation=val, test=test) for train, val, test in splits),
    )
    return assemble(listing, missing)
