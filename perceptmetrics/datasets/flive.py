"""FLIVE (LIVE-FB): the images of PaQ-2-PiQ.

Paper: Ying, Niu, Gupta, Mahajan, Ghadiyaram and Bovik, "From Patches to Pictures (PaQ-2-PiQ): Mapping the Perceptual
Space of Picture Quality", CVPR 2020.

Layout: `labels_image.csv` (columns `name`, `mos` and others) and `database/`, whose folders (`voc_emotic_ava/` and
others) contain the images named by `name`; copies without the folder `database/` are accepted. Patches are not read.

Scale: MOS 0 to 100, higher is better.
Splits: the authors' split if both of its files are present: `labels<=640_padded.csv`, whose `is_valid` marks
validation, and `labels>640.csv` with the test images, which have a side of more than 640 pixels; the rest is for
training. Signs in these names may be missing or others, as copies have them (`labels=640_padded.csv`, `labels640.csv`).
Otherwise ten random 80/20 splits; if only one of the files is there, a warning is logged.
Uncertain: which of the two protocols PerceptCLIP reports for FLIVE; `make_splits(official=False)` draws random splits.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import LabelledImages, Scale, Split
from perceptmetrics.datasets.listing import Listing, Missing, assemble
from perceptmetrics.datasets.locate import locate, one_of
from perceptmetrics.datasets.table import read_table

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["INFO", "read"]

INFO = DatasetInfo(
    name="flive",
    title="FLIVE (PaQ-2-PiQ)",
    task="quality",
    images=39_810,
    paper="Ying et al., From Patches to Pictures (PaQ-2-PiQ): Mapping the Perceptual Space of Picture Quality, "
    "CVPR 2020",
    licence="none is stated for the images, which come from other data sets; for research",
    obtain="github.com/niu-haoran/FLIVE_Database",
    scale="MOS 0..100, higher is better",
    splits="the authors' one where its files are there, else 10 drawn, 80/20, 10 % of train for validation",
)
TEST_TABLE, VALIDATION_TABLE = "labels>640.csv", "labels<=640_padded.csv"

_log = logging.getLogger(__name__)


def read(root: Path, missing: Missing) -> LabelledImages:
    """Read the official download; see the module."""
    labels = one_of(root, "labels_image.csv", "database/labels_image.csv")
    table = read_table(labels)
    names = table.image_names("name")
    folder = labels.parent / "database"
    listing = Listing(
        info=INFO,
        names=tuple(names),
        images=tuple(locate(folder if folder.is_dir() else labels.parent, names)),
        labels=("quality",),
        ratings=np.array(table.numbers("mos"))[:, None],
        scales=(Scale(lower=0, upper=100),),
        official_splits=_official_splits(labels.parent, names),
    )
    return assemble(listing, missing)


def _official_splits(folder: Path, names: list[str]) -> tuple[Split, ...]:
    test_table, validation_table = _spelt_like(folder, TEST_TABLE), _spelt_like(folder, VALIDATION_TABLE)
    if test_table is None or validation_table is None:
        if test_table is not validation_table:
            there, lacking = (
                (test_table, VALIDATION_TABLE) if validation_table is None else (validation_table, TEST_TABLE)
            )
            _log.warning(
                "flive: %s is there without %s, so the authors' split is not used and random ones are drawn.",
                there,
                lacking,
            )
        return ()
    tested = set(read_table(test_table).column("name_image"))
    smaller = read_table(validation_table)
    marks = zip(smaller.column("name_image"), smaller.column("is_valid"), strict=True)
    valid = {name for name, mark in marks if mark.lower() in ("true", "1")}
    part = np.array(["test" if name in tested else "validation" if name in valid else "train" for name in names])
    train, validation, test = (np.flatnonzero(part == name) for name in ("train", "validation", "test"))
    return (Split(train=train, validation=validation, test=test),)


def _spelt_like(folder: Path, name: str) -> Path | None:
    """The file of this name, or the first that has the same letters and digits: some systems allow no `<` in names."""
    same = [path for path in sorted(folder.glob("*.csv")) if _letters(path.name) == _letters(name)]
    return next((path for path in same if path.name == name), same[0] if same else None)


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
