"""LIVE Image Quality Assessment Database, release 2.

Paper: Sheikh, Sabir and Bovik, "A Statistical Evaluation of Recent Full Reference Image Quality Assessment
Algorithms", IEEE Transactions on Image Processing 2006.

Layout: `databaserelease2/` or its content: `dmos_realigned.mat` (`dmos_new`, `orgs`) or `dmos.mat` (`dmos`, `orgs`),
`refnames_all.mat`, and the folders `jp2k/`, `jpeg/`, `wn/`, `gblur/` and `fastfading/` with `img1.bmp` and so on. The
982 entries list these folders in this order, 227 + 233 + 174 + 174 + 174. They include the references, which `orgs`
marks and which are left out: 779 remain.

Scale: DMOS, lower is better. `dmos.mat` is on a scale of 0 to 100. The realigned DMOS, which the papers use and which
is read if present, has no fixed ends: its lowest and highest value are used instead.
Splits: none are published; the papers use ten random 80/20 splits by reference image.
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
    name="live",
    title="LIVE, release 2",
    task="quality",
    images=779,
    paper="Sheikh, Sabir and Bovik, A Statistical Evaluation of Recent Full Reference Image Quality Assessment "
    "Algorithms, IEEE TIP 2006",
    licence="any purpose, with the notice of its readme",
    obtain="live.ece.utexas.edu/research/quality/subjective.htm",
    scale="DMOS, lower is better",
    splits="10 drawn, 80/20 by reference image, 10 % of train for validation",
)
FOLDERS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
DISTORTED = tuple(f"{folder}/img{number}.bmp" for folder, count in FOLDERS.items() for number in range(1, count + 1))
SCORES = {"dmos_realigned.mat": "dmos_new", "dmos.mat": "dmos"}


def read(root: Path, missing: Missing) -> LabelledImages:
    """Read the official download; see the module."""
    path = one_of(root, *(f"{folder}{name}" for folder in ("", "databaserelease2/") for name in SCORES))
    dmos = read_matlab(path, SCORES[path.name]).astype(np.float64)
    is_reference = read_matlab(path, "orgs").astype(bool)
    references = [str(name) for name in read_matlab(path.with_name("refnames_all.mat"), "refnames_all")]
    if not len(dmos) == len(is_reference) == len(references) == len(DISTORTED):
        raise DatasetError(
            f"{path.parent}: expected {len(DISTORTED)} entries, got {len(dmos)} scores, {len(is_reference)} marks of "
            f"references and {len(references)} names of references."
        )
    kept = np.flatnonzero(~is_reference)
    names = [DISTORTED[index] for index in kept]
    ratings = dmos[kept]
    lower, upper = (0.0, 100.0) if path.name == "dmos.mat" else (float(ratings.min()), float(ratings.max()))
    listing = Listing(
        info=INFO,
        names=tuple(names),
        images=tuple(locate(path.parent, names)),
        labels=("quality",),
        ratings=ratings[:, None],
        scales=(Scale(lower=lower, upper=upper, higher_is_better=False),),
        groups=tuple(references[index] for index in kept),
    )
    return assemble(listing, missing)
