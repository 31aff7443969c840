"""SUN memorability: 2,222 scenes of the SUN database.

Paper: Isola, Xiao, Torralba and Oliva, "What Makes an Image Memorable?", CVPR 2011.

Layout: `Data/` or its content: `Image data/target_images.mat` (`img`, 256 x 256 x 3 x 2400, the images themselves),
`Experiment data/sorted_target_data.mat` (for each image `hits`, `misses` and the path of its file) and
`Random splits/image_train_indices.mat`, `image_test_indices.mat`. The paper uses the first 2,222 images; the others are
textures and are left out.

Scale: hit rate, hits / (hits + misses), 0 to 1, higher is more memorable.
Splits: the 25 published ones, 50/50, of the images with at least 20 answers. They have no validation part. If their
files are missing, random splits are drawn.
Half-subject scores (`half_subjects=`, the number of a split, 1 to 25): the authors' protocol, in which the training
images have the hit rates of one half of the subjects (`Random splits/subject_hrs1.mat`, a row for each split) and the
test images those of the other half (`subject_hrs2.mat`). Ratings then belong to one split, which is the only one.
Uncertain: which scores PerceptCLIP used, so those of all subjects are the default; the field with the path, `filepath`
or `filename`, of which both are accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import ImageItem, LabelledImages, Scale, Split
from perceptmetrics.datasets.listing import Listing, Missing, assemble
from perceptmetrics.datasets.locate import one_of
from perceptmetrics.datasets.matlab import MatlabImage, matlab_shape, read_matlab
from perceptmetrics.errors import DatasetError, InvalidOptionError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["INFO", "read"]

INFO = DatasetInfo(
    name="sun",
    title="SUN memorability",
    task="memorability",
    images=2222,
    paper="Isola, Xiao, Torralba and Oliva, What Makes an Image Memorable?, CVPR 2011",
    licence="none is stated; for research",
    obtain="web.mit.edu/phillipi/Public/WhatMakesAnImageMemorable",
    scale="hit rate 0..1, higher is more memorable",
    splits="the 25 published ones, half and half, 10 % of train for validation",
    split_count=25,
    test_fraction=0.5,
)
DATA = "Experiment data/sorted_target_data.mat"


def read(root: Path, missing: Missing, *, half_subjects: int | None = None) -> LabelledImages:
    """Read the official download; see the module.

    Args:
        root: The folder.
        missing: See `load_dataset`.
        half_subjects: Number of a published split, from 1, to take the scores of half of the subjects for its training
            images and those of the other half for its test images; None for the scores of all subjects.
    """
    path = one_of(root, DATA, f"Data/{DATA}", f"cvpr_memorability_data/Data/{DATA}")
    folder = path.parents[1]
    entries = read_matlab(path, "sorted_target_data")[: INFO.images]
    splits = _official_splits(folder / "Random splits", len(entries))
    ratings = np.array([_hit_rate(entry) for entry in entries])
    if half_subjects is not None:
        split = _numbered(splits, half_subjects, folder)
        splits, ratings = (split,), _of_half_subjects(folder / "Random splits", split, half_subjects, len(entries))
    listing = Listing(
        info=INFO,
        names=tuple(f"{number:04} {_file_name(path, entry)}" for number, entry in enumerate(entries, start=1)),
        images=tuple(_images(folder / "Image data" / "target_images.mat", len(entries))),
        labels=("memorability",),
        ratings=ratings[:, None],
        scales=(Scale(lower=0, upper=1),),
        official_splits=splits,
    )
    return assemble(listing, missing)


def _file_name(path: Path, entry: Any) -> str:
    name = getattr(entry, "filepath", None) or getattr(entry, "filename", None)
    if not name or not hasattr(entry, "hits") or not hasattr(entry, "misses"):
        raise DatasetError(f"{path}: expected filepath, hits and misses of each image.")
    return str(name).replace("\\", "/").rpartition("/")[2]


def _hit_rate(entry: Any) -> float:
    answers = float(entry.hits) + float(entry.misses)
    return float(entry.hits) / answers if answers else float("nan")


def _images(path: Path, count: int) -> list[ImageItem | None]:
    shape = matlab_shape(path, "img") if path.is_file() else (0, 0, 3, 0)
    if len(shape) != 4 or shape[2] != 3:
        raise DatasetError(f"{path}: expected an array img of shape (height, width, 3, images), got {shape}.")
    return [MatlabImage(path=path, variable="img", index=index) if index < shape[3] else None for index in range(count)]


def _official_splits(folder: Path, count: int) -> tuple[Split, ...]:
    paths = {part: folder / f"image_{part}_indices.mat" for part in ("train", "test")}
    if not all(path.is_file() for path in paths.values()):
        return ()
    tables = {part: np.atleast_2d(read_matlab(path, path.stem)).astype(np.intp) for part, path in paths.items()}
    for part, table in tables.items():
        if table.min() < 1 or table.max() > count:
            raise DatasetError(
                f"{paths[part]}: expected numbers from 1 to {count}, got {table.min()} to {table.max()}."
            )
    none: NDArray[np.intp] = np.empty(0, dtype=np.intp)
    pairs = zip(tables["train"], tables["test"], strict=True)
    return tuple(Split(train=np.sort(train - 1), validation=none, test=np.sort(test - 1)) for train, test in pairs)


def _numbered(splits: tuple[Split, ...], number: object, folder: Path) -> Split:
    if not splits:
        raise DatasetError(f"half_subjects= needs the published splits, and {folder / 'Random splits'} has none.")
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= len(splits):
        raise InvalidOptionError(
            f"half_subjects= must be the number of a split from 1 to {len(splits)}, got {number!r}."
        )
    return splits[number - 1]


def _of_half_subjects(folder: Path, split: Split, number: int, count: int) -> NDArray[np.float64]:
    """Scores by one half of the subjects for the training images of a split, by the other half for its test images."""
    ratings = np.full(count, np.nan)
    for half, part in enumerate((split.train, split.test), start=1):
        path = folder / f"subject_hrs{half}.mat"
        table = np.atleast_2d(read_matlab(path, path.stem)).astype(np.float64)
        if len(table) < number or table.shape[1] < count:
            raise DatasetError(
                f"{path}: expected {number} or more splits of {count} or more images, got shape {table.shape}."
            )
        ratings[part] = table[number - 1, part]
    return ratings
