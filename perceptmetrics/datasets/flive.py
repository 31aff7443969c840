"""FLIVE (LIVE-FB): the images of PaQ-2-PiQ.

Paper: Ying, Niu, Gupta, Mahajan, Ghadiyaram and Bovik, "From Patches to Pictures (PaQ-2-PiQ): Mapping the Perceptual
Space of Picture Quality", CVPR 2020.

Layout: `labels_image.csv` (columns `name`, `mos` and others) and `database/`, whose folders (`voc_emotic_ava/` and
others) contain the images named by `name`; copies without the folder `database/` are accepted. Patches are not read.

Scale: MOS 0 to 100, higher is better.
Splits: the authors' split if both of its files are present: `labels=640_padded.csv`, whose `is_valid` marks validation,
and `labels>640.csv` (in some copies `labels640.csv`) with the test images, which have a side of more than 640 pixels;
the rest is for training. Otherwise ten random 80/20 splits.
Uncertain: which of the two protocols PerceptCLIP reports for FLIVE; `make_splits(official=False)` draws random splits.
"""

from __future__ import annotations

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
TEST_TABLES = ("labels>640.csv", "labels640.csv")
VALIDATION_TABLE = "labels=640_padded.csv"


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
    test_tables = [folder / name for name in TEST_TABLES if (folder / name).is_file()]
    if not test_tables or not (folder / VALIDATION_TABLE).is_file():
        return ()
    tested = set(read_table(test_tables[0]).column("name_image"))
    smaller = read_table(folder / VALIDATION_TABLE)
    marks = zip(smaller.column("name_image"), smaller.column("is_valid"), strict=True)
    valid = {name for name, mark in marks if mark.lower() in ("true", "1")}
    part = np.array(["test" if name in tested else "validation" if name in valid else "train" for name in names])
    train, validation, test = (np.flatnonzero(part == name) for name in ("train", "validation", "test"))
    return (Split(train=train, validation=validation, test=test),)
