"""KADID-10k: Konstanz Artificially Distorted Image quality Database.

Paper: Lin, Hosu and Saupe, "KADID-10k: A Large-scale Artificially Distorted IQA Database", QoMEX 2019.

Layout: `kadid10k/` or its content: `dmos.csv` (columns `dist_img`, `ref_img`, `dmos`, `var`) and `images/`.

Scale: 1 to 5, higher is better although the column is called DMOS: people rated how little an image is degraded.
Splits: none are published; the papers use ten random 80/20 splits by reference image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import LabelledImages, Scale
from perceptmetrics.datasets.listing import Listing, Missing, assemble
from perceptmetrics.datasets.locate import first_folder, locate, one_of
from perceptmetrics.datasets.table import read_table

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["INFO", "read"]

INFO = DatasetInfo(
    name="kadid10k",
    title="KADID-10k",
    task="quality",
    images=10_125,
    paper="Lin, Hosu and Saupe, KADID-10k: A Large-scale Artificially Distorted IQA Database, QoMEX 2019",
    licence="free for research; the pristine images are under Pixabay's licence",
    obtain="database.mmsp-kn.de/kadid-10k-database.html",
    scale="1..5, higher is better although it is called DMOS",
    splits="10 drawn, 80/20 by reference image, 10 % of train for validation",
)


def read(root: Path, missing: Missing) -> LabelledImages:
    """Read the official download; see the module."""
    table = read_table(one_of(root, "dmos.csv", "kadid10k/dmos.csv"))
    names = table.image_names("dist_img")
    listing = Listing(
        info=INFO,
        names=tuple(names),
        images=tuple(locate(first_folder(table.path.parent, "images", "distorted_images"), names)),
        labels=("quality",),
        ratings=np.array(table.numbers("dmos"))[:, None],
        scales=(Scale(lower=1, upper=5),),
        groups=tuple(table.column("ref_img")),
    )
    return assemble(listing, missing)
