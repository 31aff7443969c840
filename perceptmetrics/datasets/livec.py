"""LIVE In the Wild Image Quality Challenge (LIVEC, CLIVE).

Paper: Ghadiyaram and Bovik, "Massive Online Crowdsourced Study of Subjective and Objective Picture Quality", IEEE
Transactions on Image Processing 2016.

Layout: `ChallengeDB_release/` or its content: `Data/AllImages_release.mat` (names), `Data/AllMOS_release.mat` and
`Images/`. The first seven entries, `t1.bmp` to `t7.bmp` in `Images/trainingImages/`, were used to train the raters;
they are left out, as in the papers.

Scale: MOS 0 to 100, higher is better. Splits: none are published; the papers use ten random 80/20 splits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import LabelledImages, Scale
from perceptmetrics.datasets.listing import Listing, Missing, assemble
from perceptmetrics.datasets.locate import locate, one_of
from perceptmetrics.datasets.matlab import read_matlab
from perceptmetrics.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["INFO", "read"]

INFO = DatasetInfo(
    name="livec",
    title="LIVE In the Wild Challenge",
    task="quality",
    images=1162,
    paper="Ghadiyaram and Bovik, Massive Online Crowdsourced Study of Subjective and Objective Picture Quality, "
    "IEEE TIP 2016",
    licence="any purpose, with the notice of its README.txt",
    obtain="live.ece.utexas.edu/research/ChallengeDB",
    scale="MOS 0..100, higher is better",
    splits="10 drawn, 80/20, 10 % of train for validation",
)
TRAINING_IMAGES = 7


def read(root: Path, missing: Missing) -> LabelledImages:
    """Read the official download; see the module."""
    names_file = one_of(root, "Data/AllImages_release.mat", "ChallengeDB_release/Data/AllImages_release.mat")
    names = [str(name) for name in read_matlab(names_file, "AllImages_release")]
    mos = read_matlab(names_file.with_name("AllMOS_release.mat"), "AllMOS_release").astype(np.float64)
    if len(names) != len(mos):
        raise DatasetError(f"{names_file}: expected as many names as scores, got {len(names)} and {len(mos)}.")
    names, mos = names[TRAINING_IMAGES:], mos[TRAINING_IMAGES:]
    listing = Listing(
        info=INFO,
        names=tuple(names),
        images=tuple(locate(names_file.parents[1] / "Images", names)),
        labels=("quality",),
        ratings=mos[:, None],
        scales=(Scale(lower=0, upper=100),),
    )
    return assemble(listing, missing)
