"""Read human ratings from a CSV with a column of image names and columns of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics._util.files import refuse_empty
from perceptmetrics.datasets.locate import find_files
from perceptmetrics.datasets.table import IMAGE_COLUMNS, read_table
from perceptmetrics.errors import DatasetError

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

__all__ = ["IMAGE_COLUMNS", "Ratings", "read_ratings"]


@dataclass(frozen=True, kw_only=True)
class Ratings:
    """Images with their ratings.

    Attributes:
        images: The files, in the order of the CSV.
        columns: Ratings of these images, by column; NaN where the CSV has none.
        missing: Names in the CSV for which there is no file.
    """

    images: tuple[Path, ...]
    columns: Mapping[str, tuple[float, ...]]
    missing: tuple[str, ...] = ()


def read_ratings(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    *,
    image_column: str | None = None,
    columns: Sequence[str] | None = None,
) -> Ratings:
    """Read ratings and find their images.

    Args:
        path: The CSV, separated by commas, semicolons or tabs, with a header.
        folder: Folder of the images; None for the folder of the CSV. A name in the CSV may be a path relative to this
            folder, or a file name (with or without suffix) that occurs once in it at any depth.
        image_column: Column of the image names; None for the first whose name is one of `IMAGE_COLUMNS`.
        columns: Columns of ratings; None for all columns that hold only numbers and empty cells.

    Returns:
        The ratings.

    Raises:
        DatasetError: The file, a column or the images are not as expected; the message says what was found.
    """
    refuse_empty(path=path, folder=folder)
    path = Path(path)
    table = read_table(path)
    name_column = table.image_column(image_column)
    chosen = table.rating_columns(columns, besides=[name_column])
    names = table.image_names(name_column)
    found = find_files(names, Path(folder) if folder is not None else path.parent)
    present = [index for index, file in enumerate(found) if file is not None]
    if not present:
        where = folder if folder is not None else path.parent
        raise DatasetError(
            f"None of the {len(names)} images of {path} (such as {names[0]!r}) is in the folder {where}. "
            "Pass the folder of the images."
        )
    return Ratings(
        images=tuple(file for file in found if file is not None),
        columns={column: tuple(np.array(table.numbers(column))[present].tolist()) for column in chosen},
        missing=tuple(name for name, file in zip(names, found, strict=True) if file is None),
    )
