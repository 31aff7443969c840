"""AVA: Aesthetic Visual Analysis.

Paper: Murray, Marchesotti and Perronnin, "AVA: A Large-Scale Database for Aesthetic Visual Analysis", CVPR 2012.

Layout: `AVA.txt` (each line: number, image, ten counts of votes for 1 to 10, two tags, challenge),
`aesthetics_image_lists/` with `generic_ls_train.jpgl` and `generic_test.jpgl` (one image per line), and `images/` (in
some copies `image/` or `images/images/`) with `<image>.jpg`.

Scale: the mean vote, 1 to 10, higher is more beautiful.
Splits: the published lists, if present: large-scale training and test. They have no validation part; images in neither
list belong to no part. Otherwise ten random 80/20 splits.
Uncertain: in most copies, a few images of the list are missing or corrupt; `missing="skip"` leaves them out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import LabelledImages, Scale, Split
from perceptmetrics.datasets.lines import read_lines
from perceptmetrics.datasets.listing import Listing, Missing, assemble
from perceptmetrics.datasets.locate import first_folder, locate, one_of
from perceptmetrics.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["INFO", "read"]

INFO = DatasetInfo(
    name="ava",
    title="AVA",
    task="attribute",
    images=255_530,
    paper="Murray, Marchesotti and Perronnin, AVA: A Large-Scale Database for Aesthetic Visual Analysis, CVPR 2012",
    licence="research; each photograph belongs to its author",
    obtain="github.com/mtobeiyf/ava_downloader",
    scale="mean vote 1..10, higher is more beautiful",
    splits="the published one, 10 % of train for validation",
    split_count=1,
    test_fraction=0.08,
)
VOTES = np.arange(1, 11)
LISTS = {"train": "generic_ls_train.jpgl", "test": "generic_test.jpgl"}


def read(root: Path, missing: Missing) -> LabelledImages:
    """Read the official download; see the module."""
    path = one_of(root, "AVA.txt", "AVA_dataset/AVA.txt")
    names, means = [], []
    for number, line in enumerate(read_lines(path), start=1):
        image, mean = _mean_vote(path, number, line)
        names.append(image)
        means.append(mean)
    folder = first_folder(path.parent, "images/images", "images", "image")
    listing = Listing(
        info=INFO,
        names=tuple(names),
        images=tuple(locate(folder, (f"{name}.jpg" for name in names))),
        labels=("aesthetics",),
        ratings=np.array(means)[:, None],
        scales=(Scale(lower=1, upper=10),),
        official_splits=_official_splits(path.parent / "aesthetics_image_lists", names),
    )
    return assemble(listing, missing)


def _mean_vote(path: Path, number: int, line: str) -> tuple[str, float]:
    words = line.split()
    counts = [int(word) for word in words[2:12] if word.isdigit()]
    if len(counts) != len(VOTES) or not sum(counts):
        raise DatasetError(
            f"{path}, line {number}: expected a number, an image and ten counts of votes, got {line[:80]!r}."
        )
    return words[1], float(np.dot(counts, VOTES) / sum(counts))


def _official_splits(folder: Path, names: list[str]) -> tuple[Split, ...]:
    if not all((folder / name).is_file() for name in LISTS.values()):
        return ()
    index_of = {name: index for index, name in enumerate(names)}

    def indices(part: str) -> NDArray[np.intp]:
        listed = read_lines(folder / LISTS[part])
        return np.array(sorted(index_of[name] for name in listed if name in index_of), dtype=np.intp)

    return (Split(train=indices("train"), validation=np.empty(0, dtype=np.intp), test=indices("test")),)
