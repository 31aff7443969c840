"""Human ratings: a CSV with a column of image names and columns of numbers."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics.errors import DatasetError, nearest_names
from perceptmetrics.files import find_images

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

__all__ = ["IMAGE_COLUMNS", "Ratings", "read_ratings"]

IMAGE_COLUMNS = ("image", "image_name", "images", "name", "file", "filename", "file_name", "path", "image_path")


@dataclass(frozen=True, kw_only=True)
class Ratings:
    """Images with their ratings.

    Attributes:
        images: Files, in the order of the CSV.
        columns: Rating of each of these images by column; NaN where the CSV has none.
        missing: Names in the CSV without a file.
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
    """Read ratings and find the images that they are about.

    Args:
        path: The CSV, separated by commas, semicolons or tabs, with a header.
        folder: Where the images are; None for the CSV's own folder. A name in the CSV may be a path below this
            folder, or a file name (with or without suffix) that occurs once in it at any depth.
        image_column: Column of the names; None for the first that is called like one of `IMAGE_COLUMNS`.
        columns: Columns of ratings; None for all that hold nothing but numbers and empty cells.

    Returns:
        The ratings.

    Raises:
        DatasetError: The file, a column or the images are not what was expected; the message says what was found.
    """
    path = Path(path)
    header, rows = _read_table(path)
    name_column = _image_column(path, header, image_column)
    chosen = _rating_columns(path, header, rows, name_column, columns)
    names = [row[name_column] for row in rows]
    repeated = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if repeated is not None:
        raise DatasetError(f"{path} rates {repeated!r} in more than one row. Average its ratings, or remove a row.")
    found = _find_files(names, Path(folder) if folder is not None else path.parent)
    present = [place for place, file in enumerate(found) if file is not None]
    if not present:
        where = folder if folder is not None else path.parent
        raise DatasetError(
            f"None of the {len(names)} images of {path} (such as {names[0]!r}) is in the folder {where}. "
            "Name the folder of the images."
        )
    return Ratings(
        images=tuple(file for file in found if file is not None),
        columns={column: tuple(_number(rows[place][column]) for place in present) for column in chosen},
        missing=tuple(name for name, file in zip(names, found, strict=True) if file is None),
    )


def _read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            first = stream.readline()
            stream.seek(0)
            reader = csv.DictReader(stream, delimiter=max(",;\t", key=first.count), restval="")
            rows = [{key: (value or "").strip() for key, value in row.items() if key is not None} for row in reader]
            header = [name for name in reader.fieldnames or [] if name]
    except FileNotFoundError as error:
        raise DatasetError(f"{path} does not exist; expected a CSV of ratings.") from error
    except (OSError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read as a CSV: {error}.") from error
    if not rows:
        raise DatasetError(f"{path} holds no ratings; expected a header and one row for each image.")
    return header, rows


def _image_column(path: Path, header: list[str], stated: str | None) -> str:
    if stated is not None:
        if stated not in header:
            raise DatasetError(f"{path} has no column {stated!r}. {nearest_names(stated, header)}")
        return stated
    for name in header:
        if name.strip().lower().replace(" ", "_") in IMAGE_COLUMNS:
            return name
    raise DatasetError(
        f"{path} has no column of image names: expected one called {', '.join(IMAGE_COLUMNS)}, got "
        f"{', '.join(header)}. Name the column."
    )


def _rating_columns(
    path: Path, header: list[str], rows: list[dict[str, str]], name_column: str, stated: Sequence[str] | None
) -> list[str]:
    if stated is None:
        chosen = [name for name in header if name != name_column and _is_numeric([row[name] for row in rows])]
        if not chosen:
            raise DatasetError(f"{path} has no column of numbers beside {name_column!r}: {', '.join(header)}.")
        return chosen
    for name in stated:
        if name not in header:
            raise DatasetError(f"{path} has no column {name!r}. {nearest_names(name, header)}")
        if not _is_numeric([row[name] for row in rows]):
            cell = next((row[name] for row in rows if not _is_number(row[name])), "nothing but empty cells")
            raise DatasetError(f"{path}: expected numbers in the column {name!r}, got {cell!r}.")
    return list(stated)


def _is_numeric(cells: list[str]) -> bool:
    return any(cells) and all(map(_is_number, cells))


def _is_number(cell: str) -> bool:
    try:
        return not cell or math.isfinite(float(cell)) or cell.lower() == "nan"
    except ValueError:
        return False


def _number(cell: str) -> float:
    return float(cell) if cell else math.nan


def _find_files(names: list[str], folder: Path) -> list[Path | None]:
    """The file of each name; None where there is none, or where a bare name belongs to more than one.

    A name with folders in it is a path below `folder`; a bare one may lie at any depth.
    """
    if not folder.is_dir():
        raise DatasetError(f"Expected a folder of images, got {str(folder)!r}, which is none.")
    direct = [folder / name if name and (folder / name).is_file() else None for name in names]
    if all(direct):
        return direct
    files_of: dict[str, list[Path]] = {}
    for file in find_images([folder]):
        for key in {file.name, file.stem}:
            files_of.setdefault(key, []).append(file)

    def only_file(name: str) -> Path | None:
        files = files_of.get(name, [])
        return files[0] if len(files) == 1 else None

    found = [file or only_file(name) for file, name in zip(direct, names, strict=True)]
    taken: dict[Path, str] = {}
    for match, name in zip(found, names, strict=True):
        if match is not None and taken.setdefault(match, name) != name:
            raise DatasetError(
                f"The names {taken[match]!r} and {name!r} both stand for {match}. Give each image one row."
            )
    return found
