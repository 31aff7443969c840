"""EmoSet: the 118,102 images checked by people (EmoSet-118K).

Paper: Yang, Huang, Ding, Lischinski, Cohen-Or and Huang, "EmoSet: A Large-scale Visual Emotion Dataset with Rich
Attributes", ICCV 2023.

Layout: `EmoSet-118K/` or its content: `train.json`, `val.json`, `test.json` and `image/<emotion>/`. Each JSON file is a
list of lists: emotion, (identifier,) path of the image, path of its annotation. Releases with and without the
identifier are in circulation; annotations are not read.

Labels: eight emotions in the order of the release, the first four pleasant. Splits: the published one, 80/5/15.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import LabelledImages, Split
from perceptmetrics.datasets.listing import Listing, Missing, assemble
from perceptmetrics.datasets.locate import locate, one_of
from perceptmetrics.errors import DatasetError, first_line, nearest_names

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["INFO", "MIKELS", "read"]

MIKELS = ("amusement", "awe", "contentment", "excitement", "anger", "disgust", "fear", "sadness")
"""Mikels' eight emotions in the order of EmoSet, which is also that of `perceptclip_emo`."""
POSITIVE = MIKELS[:4]
INFO = DatasetInfo(
    name="emoset",
    title="EmoSet-118K",
    task="emotion",
    images=118_102,
    paper="Yang et al., EmoSet: A Large-scale Visual Emotion Dataset with Rich Attributes, ICCV 2023",
    licence="non-commercial research and education",
    obtain="vcc.tech/EmoSet",
    scale="8 emotions of Mikels' model",
    splits="the published one, 80 % train, 5 % validation, 15 % test",
    split_count=1,
    test_fraction=0.15,
    validation_fraction=0.05 / 0.85,
)
PARTS = ("train", "val", "test")


def read(root: Path, missing: Missing) -> LabelledImages:
    """Read the official download; see the module."""
    folder = one_of(root, "train.json", "EmoSet-118K/train.json").parent
    entries = {part: _read_part(folder / f"{part}.json") for part in PARTS}
    everything = [entry for part in PARTS for entry in entries[part]]
    ends = np.cumsum([0, *(len(entries[part]) for part in PARTS)])
    train, validation, test = (np.arange(first, end, dtype=np.intp) for first, end in pairwise(ends))
    names = [name for _, name in everything]
    listing = Listing(
        info=INFO,
        names=tuple(name.removeprefix("image/") for name in names),
        images=tuple(locate(folder, names)),
        labels=MIKELS,
        classes=np.array([MIKELS.index(emotion) for emotion, _ in everything], dtype=np.intp),
        positive_labels=POSITIVE,
        official_splits=(Split(train=train, validation=validation, test=test),),
    )
    return assemble(listing, missing)


def _read_part(path: Path) -> list[tuple[str, str]]:
    """Emotion and path of the image of each entry."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read as JSON: {first_line(error)}.") from error
    if not isinstance(entries, list):
        raise DatasetError(f"{path}: expected a list of entries, got {type(entries).__name__}.")
    return [_entry(path, entry) for entry in entries]


def _entry(path: Path, entry: object) -> tuple[str, str]:
    if (
        not isinstance(entry, list)
        or len(entry) not in (3, 4)
        or not all(isinstance(part, (str, int)) for part in entry)
    ):
        raise DatasetError(f"{path}: expected emotion, (identifier,) image and annotation, got {str(entry)[:80]}.")
    emotion, image = str(entry[0]), str(entry[-2])
    if emotion not in MIKELS:
        raise DatasetError(f"{path}: {emotion!r} is not an emotion of EmoSet. {nearest_names(emotion, MIKELS)}")
    return emotion, image
