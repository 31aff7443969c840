"""SPAQ: Smartphone Photography Attribute and Quality.

Paper: Fang, Zhu, Zeng, Ma and Wang, "Perceptual Quality Assessment of Smartphone Photography", CVPR 2020.

Layout: `Annotations/MOS and Image attribute scores.xlsx` (columns `Image name`, `MOS`, `Brightness`, `Colorfulness`,
`Contrast`, `Noisiness`, `Sharpness`) and `TestImage/`. The workbook may also be at the top level. Reading it needs the
extra `spaq` (openpyxl); a CSV of the same name, saved from the workbook, is read instead if present.

Scale: 0 to 100, higher is better. Splits: none are published; the papers use ten random 80/20 splits.
Uncertain: whether a high `Noisiness` means much noise. Only `MOS` is read unless `columns` asks for attributes, which
are read unchanged. The photographs have up to 20 megapixels; CLIP-IQA scores them at a short side of 512.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import LabelledImages, Scale
from perceptmetrics.datasets.listing import Listing, Missing, assemble
from perceptmetrics.datasets.locate import first_folder, locate, one_of
from perceptmetrics.datasets.table import Table, read_table, read_workbook

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["INFO", "read"]

INFO = DatasetInfo(
    name="spaq",
    title="SPAQ",
    task="quality",
    images=11_125,
    paper="Fang et al., Perceptual Quality Assessment of Smartphone Photography, CVPR 2020",
    licence="none is stated; for research",
    obtain="github.com/h4nwei/SPAQ",
    scale="MOS 0..100, higher is better",
    splits="10 drawn, 80/20, 10 % of train for validation",
)
RATINGS = "MOS and Image attribute scores"


def read(root: Path, missing: Missing, *, columns: Sequence[str] = ("MOS",)) -> LabelledImages:
    """Read the official download; see the module.

    Args:
        root: Its folder.
        missing: See `load_dataset`.
        columns: The ratings to read: `MOS`, or attributes of the workbook.

    Raises:
        MissingExtraError: The ratings are a workbook, and openpyxl is not installed.
    """
    table = _read_ratings(root)
    chosen = [columns] if isinstance(columns, str) else list(columns)
    names = table.image_names("Image name")
    listing = Listing(
        info=INFO,
        names=tuple(names),
        images=tuple(locate(first_folder(root, "TestImage", "SPAQ/TestImage"), names)),
        labels=tuple("quality" if column == "MOS" else column.lower() for column in chosen),
        ratings=np.array([table.numbers(column) for column in chosen]).T,
        scales=(Scale(lower=0, upper=100),) * len(chosen),
        task=None if chosen == ["MOS"] else "attribute",
    )
    return assemble(listing, missing)


def _read_ratings(root: Path) -> Table:
    folders = ("Annotations/", "annotations/", "SPAQ/Annotations/", "")
    path = one_of(root, *(f"{folder}{RATINGS}{suffix}" for suffix in (".csv", ".xlsx") for folder in folders))
    return read_table(path) if path.suffix == ".csv" else read_workbook(path)
