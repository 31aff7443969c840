"""EmotionROI: images that evoke one of six emotions.

Paper: Peng, Sadovnik, Gallagher and Chen, "Where Do Emotions Come From? Predicting the Emotion Stimuli Map", ICIP 2016.

Layout: `images/<emotion>/` (anger, disgust, fear, joy, sadness, surprise; 330 images each) and
`training_testing_split/training.txt` and `testing.txt` with one path such as `anger/12.jpg` per line. The lists and the
folders of the emotions may also be at the top level.

Labels: the six emotions in alphabetical order; joy and surprise count as pleasant.
Splits: PerceptCLIP uses five random splits of 75/5/20. `official_split=True` reads the authors' lists, 70/30.
Uncertain: how PerceptCLIP groups surprise when it reports two classes; pass `positive_labels` to change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import LabelledImages, Split
from perceptmetrics.datasets.lines import read_lines
from perceptmetrics.datasets.listing import Listing, Missing, assemble
from perceptmetrics.datasets.locate import locate, one_of
from perceptmetrics.errors import DatasetError, InvalidOptionError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["INFO", "read"]

INFO = DatasetInfo(
    name="emotionroi",
    title="EmotionROI",
    task="emotion",
    images=1980,
    paper="Peng et al., Where Do Emotions Come From? Predicting the Emotion Stimuli Map, ICIP 2016",
    licence="none is stated; for research",
    obtain="the authors, Chen Lab, Cornell University",
    scale="6 emotions",
    splits="5 drawn, 75 % train, 5 % validation, 20 % test; official_split=True for the authors' one, 70/30",
    split_count=5,
    validation_fraction=0.0625,
)
LISTS = ("training.txt", "testing.txt")
EKMAN = ("anger", "disgust", "fear", "joy", "sadness", "surprise")
"""Ekman's six emotions, the names of EmotionROI's folders."""


def read(
    root: Path, missing: Missing, *, official_split: bool = False, positive_labels: Sequence[str] = ("joy", "surprise")
) -> LabelledImages:
    """Read the official download; see the module.

    Args:
        root: Its folder.
        missing: See `load_dataset`.
        official_split: Whether to use the authors' split as the published one.
        positive_labels: The emotions that count as pleasant.
    """
    positive = (positive_labels,) if isinstance(positive_labels, str) else tuple(positive_labels)
    for label in positive:
        if label not in EKMAN:
            raise InvalidOptionError(
                f"positive_labels: {label!r} is not an emotion of EmotionROI. {nearest_names(label, EKMAN)}"
            )
    bases = [f"{base}{folder}" for base in ("", "EmotionROI/") for folder in ("training_testing_split/", "")]
    lists = one_of(root, *(f"{base}{LISTS[0]}" for base in bases))
    top = lists.parents[1] if lists.parent.name == "training_testing_split" else lists.parent
    training, testing = (read_lines(lists.with_name(name)) for name in LISTS)
    names = training + testing
    ends = np.arange(len(names), dtype=np.intp)
    published = Split(train=ends[: len(training)], validation=ends[:0], test=ends[len(training) :])
    listing = Listing(
        info=INFO,
        names=tuple(names),
        images=tuple(locate(top / "images" if (top / "images").is_dir() else top, names)),
        labels=EKMAN,
        classes=np.array([_emotion(lists, name) for name in names], dtype=np.intp),
        positive_labels=positive,
        official_splits=(published,) if official_split else (),
    )
    return assemble(listing, missing)


def _emotion(lists: Path, name: str) -> int:
    emotion = name.partition("/")[0]
    if emotion not in EKMAN:
        raise DatasetError(f"{lists.parent}: expected a path such as 'anger/12.jpg', got {name[:80]!r}.")
    return EKMAN.index(emotion)
