"""THINGS: memorability of its object images.

Paper: Kramer, Hebart, Baker and Bainbridge, "The Features Underlying the Memorability of Objects", Science Advances
2023. Images: Hebart et al., "THINGS: A Database of 1,854 Object Concepts", PLOS ONE 2019.

Layout: `THINGS_Memorability_Scores.csv` with `file_path` (`images/aardvark/aardvark_01b.jpg`) and `cr`, and the images
of THINGS in `object_images/`, `images/`, or directly in the folders of the concepts.

Scale: `cr` is corrected recognition, hit rate minus false-alarm rate; higher is more memorable. It is read on a scale
of 0 to 1; an image with more false alarms than hits would be below 0.
Splits: none are published; PerceptCLIP tests on all images, and for training ten random 80/20 splits are drawn.
Uncertain: the other columns of the table, which are not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import LabelledImages, Scale
from perceptmetrics.datasets.listing import Listing, Missing, assemble
from perceptmetrics.datasets.locate import locate, one_of
from perceptmetrics.datasets.table import read_table

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["INFO", "read"]

INFO = DatasetInfo(
    name="things",
    title="THINGS memorability",
    task="memorability",
    images=26_107,
    paper="Kramer et al., The Features Underlying the Memorability of Objects, Science Advances 2023",
    licence="images for academic use; the scores as their release says",
    obtain="things-initiative.org; scores at osf.io",
    scale="corrected recognition 0..1, higher is more memorable",
    splits="10 drawn, 80/20, 10 % of train for validation",
)
IMAGE_FOLDERS = ("object_images", "images", "THINGS/object_images", "THINGS/images")


def read(root: Path, missing: Missing) -> LabelledImages:
    """Read the official download; see the module."""
    table = read_table(one_of(root, "THINGS_Memorability_Scores.csv", "THINGS/THINGS_Memorability_Scores.csv"))
    names = [name.removeprefix("images/") for name in table.image_names("file_path")]
    folder = next((root / name for name in IMAGE_FOLDERS if (root / name).is_dir()), root)
    listing = Listing(
        info=INFO,
        names=tuple(names),
        images=tuple(locate(folder, names)),
        labels=("memorability",),
        ratings=np.array(table.numbers("cr"))[:, None],
        scales=(Scale(lower=0, upper=1),),
    )
    return assemble(listing, missing)
