"""KonIQ-10k.

Paper: Hosu, Lin, Sziranyi and Saupe, "KonIQ-10k: An Ecologically Valid Database for Deep Learning of Blind Image
Quality Assessment", IEEE Transactions on Image Processing 2020.

Layout: a table and a folder of images. The table is `koniq10k_scores_and_distributions.csv` (columns `image_name`,
`c1`..`c5`, `c_total`, `MOS`, `SD`, `MOS_zscore`), or the authors' `koniq10k_distributions_sets.csv` with the rescaled
`MOS` and a column `set` (training, validation, test). The images are in `1024x768/` or `512x384/`; if both are present,
the larger ones are used unless `image_size` says otherwise.

Scale: the rescaled MOS, 0 to 100, or 1 to 5 if the table has only that. Higher is better.
Splits: the papers use ten random 80/20 splits. `official_split=True` reads the authors' split from the column `set`.
Uncertain: some mirrors name the folders `koniq10k_1024x768/`, which is accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import LabelledImages, Scale, Split
from perceptmetrics.datasets.listing import Listing, Missing, assemble
from perceptmetrics.datasets.locate import first_folder, locate, one_of
from perceptmetrics.datasets.table import Table, read_table
from perceptmetrics.errors import DatasetError, InvalidOptionError, nearest_names

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["INFO", "read"]

INFO = DatasetInfo(
    name="koniq10k",
    title="KonIQ-10k",
    task="quality",
    images=10_073,
    paper="Hosu et al., KonIQ-10k: An Ecologically Valid Database for Deep Learning of Blind Image Quality Assessment, "
    "IEEE TIP 2020",
    licence="images Creative Commons, each its own; the authors ask to be cited",
    obtain="database.mmsp-kn.de/koniq-10k-database.html",
    scale="MOS rescaled to 0..100 (or 1..5), higher is better",
    splits="10 drawn, 80/20, 10 % of train for validation; official_split=True for the authors' one",
)
SIZES = ("1024x768", "512x384")
SCORES = "koniq10k_scores_and_distributions.csv"
SETS = "koniq10k_distributions_sets.csv"


def read(
    root: Path, missing: Missing, *, image_size: str | None = None, official_split: bool = False
) -> LabelledImages:
    """Read the official download; see the module.

    Args:
        root: Its folder.
        missing: See `load_dataset`.
        image_size: `1024x768` or `512x384`; None for the larger one that is present.
        official_split: Whether to use the authors' split as the published one.
    """
    if image_size is not None and image_size not in SIZES:
        raise InvalidOptionError(
            f"image_size must be {' or '.join(SIZES)}, got {image_size!r}. {nearest_names(str(image_size), SIZES)}"
        )
    table = read_table(one_of(root, SCORES, f"{SCORES.removesuffix('.csv')}/{SCORES}", SETS, f"metadata/{SETS}"))
    names = table.image_names("image_name")
    folders = [f"{prefix}{size}" for size in ([image_size] if image_size else SIZES) for prefix in ("", "koniq10k_")]
    ratings, scale = _ratings(table)
    listing = Listing(
        info=INFO,
        names=tuple(names),
        images=tuple(locate(first_folder(root, *folders), names)),
        labels=("quality",),
        ratings=ratings[:, None],
        scales=(scale,),
        official_splits=(_official_split(root, table, names),) if official_split else (),
    )
    return assemble(listing, missing)


def _ratings(table: Table) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float64]], Scale]:
    column = "MOS_zscore" if "MOS_zscore" in table.header else "MOS"
    ratings = np.array(table.numbers(column))
    # Both tables call their column MOS; ten thousand ratings without one above 5 are not on a scale of 0 to 100.
    on_five = float(np.nanmax(ratings)) <= 5
    return ratings, Scale(lower=1, upper=5) if on_five else Scale(lower=0, upper=100)


def _official_split(root: Path, table: Table, names: list[str]) -> Split:
    if "set" not in table.header:
        table = read_table(one_of(root, SETS, f"metadata/{SETS}"))
    part_of = dict(zip(table.column("image_name"), table.column("set"), strict=True))
    unknown = next((part for part in part_of.values() if part not in ("training", "validation", "test")), None)
    if unknown is not None:
        raise DatasetError(f"{table.path}: expected training, validation or test in the column 'set', got {unknown!r}.")

    def indices(part: str) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
        return np.array([index for index, name in enumerate(names) if part_of.get(name) == part], dtype=np.intp)

    return Split(train=indices("training"), validation=indices("validation"), test=indices("test"))
