"""TID2013: Tampere Image Database 2013.

Paper: Ponomarenko et al., "Image Database TID2013: Peculiarities, Results and Perspectives", Signal Processing: Image
Communication 2015.

Layout: `tid2013/` or its content: `mos_with_names.txt` with a MOS and a name such as `I01_01_1.bmp` (reference 1,
distortion 1, level 1) per line, and `distorted_images/`. The case of names differs between list and files, and between
systems on which the archive was unpacked; it is ignored.

Scale: MOS 0 to 9, higher is better. Splits: none are published; the papers use ten random 80/20 splits by reference
image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import LabelledImages, Scale
from perceptmetrics.datasets.lines import read_pairs
from perceptmetrics.datasets.listing import Listing, Missing, assemble
from perceptmetrics.datasets.locate import locate, one_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["INFO", "read"]

INFO = DatasetInfo(
    name="tid2013",
    title="TID2013",
    task="quality",
    images=3000,
    paper="Ponomarenko et al., Image Database TID2013: Peculiarities, Results and Perspectives, Signal Processing: "
    "Image Communication 2015",
    licence="education and research, with its notice",
    obtain="www.ponomarenko.info/tid2013.htm",
    scale="MOS 0..9, higher is better",
    splits="10 drawn, 80/20 by reference image, 10 % of train for validation",
)


def read(root: Path, missing: Missing) -> LabelledImages:
    """Read the official download; see the module."""
    path = one_of(root, "mos_with_names.txt", "tid2013/mos_with_names.txt")
    mos_of = {name: mos for mos, name in read_pairs(path, "a MOS and an image")}
    listing = Listing(
        info=INFO,
        names=tuple(mos_of),
        images=tuple(locate(path.parent / "distorted_images", mos_of)),
        labels=("quality",),
        ratings=np.array(list(mos_of.values()))[:, None],
        scales=(Scale(lower=0, upper=9),),
        groups=tuple(name.split("_")[0].upper() for name in mos_of),
    )
    return assemble(listing, missing)
