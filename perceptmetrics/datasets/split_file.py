"""Read a list of splits from a file: a table or a JSON of one's own, or a published list.

- CSV with a row for each image: a column of image names, and for each split a column with `train`, `validation` (or
  `val`) and `test`; an empty cell leaves the image out of the split. Or a column `fold` of numbers: split k tests on
  fold k and trains on the others.
- CSV with a row for each image and split: the columns `image`, `split` (its number) and `part`.
- JSON: a list of splits, an object of them by number, or a single one; each `{"train": [...], "validation": [...],
  "test": [...]}` with names of images.
- Pickles of such objects, as pyiqa and LoDa publish them. Nothing in them is executed: they may hold plain lists,
  texts and numbers only.

In JSON and pickles, numbers stand for the images in the order of the data set's own list, from 0. A split of only
`train` and `val` is tested on `val`, as in pyiqa. A split without validation images gets them from its train part, see
`make_splits`.
"""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perceptmetrics._util.delimited import TextTableError, decode_text
from perceptmetrics._util.files import open_regular
from perceptmetrics.datasets.image_finder import ImageFinder
from perceptmetrics.datasets.labelled import LabelledImages, Split
from perceptmetrics.datasets.table import Table, read_table
from perceptmetrics.errors import DatasetError, first_line, nearest_names

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

__all__ = ["PART_NAMES", "with_split_file"]

PART_NAMES = {"train": "train", "training": "train", "val": "validation", "validation": "validation", "test": "test"}
"""Words for the parts of a split."""
_PARTS = ("train", "validation", "test")
_FOLDS = ("fold", "folds")
_SPLITS = ("split", "splits", "split_number")
_PART_COLUMNS = ("part", "set", "subset", "partition")
_MANY_BYTES = 1 << 28
_HASHED_BY_PARTS = ("TUPLE", "EMPTY_TUPLE", "FROZENSET")  # as keys they can take forever to hash

_Entry: TypeAlias = "tuple[str | int, str, str]"
"""An image by name or number, its part, and where the file says so."""


def with_split_file(dataset: LabelledImages, path: str | os.PathLike[str]) -> LabelledImages:
    """Give a data set the splits of a file in place of its published ones; see the module for the formats.

    Args:
        dataset: The data set.
        path: The file: `.json`, `.pkl`, or else a table of text.

    Returns:
        The data set with these splits, for `make_splits`. Images that were missing and skipped are left out.

    Raises:
        DatasetError: The file cannot be read, names an image that the data set does not have, lists one twice in a
            split, or leaves a split without images to train or test on; the message names the line.

    Examples:
        >>> from perceptmetrics.datasets import load_dataset, with_split_file
        >>> livec = with_split_file(load_dataset("livec", "ChallengeDB_release"), "livec_123.pkl")  # doctest: +SKIP
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix in (".pkl", ".pickle"):
        entries = _of_objects(file, _read_pickle(file), "")
    elif suffix == ".json":
        text = _read_text(file)
        entries = _of_objects(file, _parse_json(file, text), text)
    else:
        entries = _of_table(read_table(file))
    find = ImageFinder(dataset, file)
    return replace(dataset, official_splits=tuple(_split(find, file, name, listed) for name, listed in entries.items()))


def _read(file: Path) -> bytes:
    try:
        with open_regular(file) as stream:
            content = stream.read(_MANY_BYTES + 1)
    except OSError as error:
        raise DatasetError(f"{file} cannot be read as a list of splits: {first_line(error)}.") from error
    if len(content) > _MANY_BYTES:
        raise DatasetError(f"{file} has more than {_MANY_BYTES:,} bytes; expected a list of splits.")
    return content


def _read_text(file: Path) -> str:
    try:
        return decode_text(_read(file), str(file))
    except TextTableError as error:
        raise DatasetError(f"{file} cannot be read as a list of splits: {error}.") from error


def _parse_json(file: Path, text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{file}, line {error.lineno}: it is not valid JSON ({error.msg}).") from error
    except RecursionError as error:
        raise DatasetError(f"{file} is nested too deeply; expected a list of splits.") from error


class _PlainUnpickler(pickle.Unpickler):
    """Reads dictionaries, lists, texts and numbers, and refuses everything that would be called."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it holds {module}.{name}, and only plain lists, texts and numbers are read")


def _read_pickle(file: Path) -> object:
    content = _read(file)
    try:
        if any(opcode.name.startswith(_HASHED_BY_PARTS) for opcode, _, _ in pickletools.genops(content)):
            raise pickle.UnpicklingError("it holds tuples, and only plain lists, texts and numbers are read")
        return _PlainUnpickler(io.BytesIO(content)).load()
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        OverflowError,
    ) as error:
        raise DatasetError(
            f"{file} cannot be read as a pickle of splits: {first_line(error).rstrip('.')}. Write the splits as JSON."
        ) from error


def _of_objects(file: Path, document: object, text: str) -> dict[str, list[_Entry]]:
    """The entries of each split of a JSON or a pickle."""
    if isinstance(document, dict) and any(str(key).lower() in PART_NAMES for key in document):
        document = [document]
    listed = list(document.items()) if isinstance(document, dict) else document
    if isinstance(listed, list) and not isinstance(document, dict):
        listed = [(number, split) for number, split in enumerate(listed, start=1)]
    if not isinstance(listed, list) or not listed or not all(isinstance(split, dict) for _, split in listed):
        raise DatasetError(f'{file}: expected a list of splits, each {{"train": [...], "test": [...]}}.')
    return {str(name): _of_object(file, str(name), split, text) for name, split in listed}


def _of_object(file: Path, name: str, split: Mapping[Any, Any], text: str) -> list[_Entry]:
    parts: dict[str, Any] = {}
    for key, images in split.items():
        part = PART_NAMES.get(str(key).lower())
        if part is None or part in parts:
            raise DatasetError(
                f"{file}{_line(text, key)}: split {name} has {'another' if part else 'a'} part {key!r}; expected "
                f"{', '.join(_PARTS)}."
            )
        if not isinstance(images, (list, tuple)) or not all(
            isinstance(image, (str, int)) and not isinstance(image, bool) for image in images
        ):
            raise DatasetError(f"{file}{_line(text, key)}: the part {key!r} of split {name} is no list of images.")
        parts[part] = images
    if parts.get("validation") and not parts.get("test"):  # pyiqa's name for the images that it tests on
        parts = {**parts, "validation": [], "test": parts["validation"]}
    return [(image, part, _line(text, image)) for part, images in parts.items() for image in images]


def _line(text: str, value: object) -> str:
    """Where a text stands in a JSON, for messages; nothing for numbers, which stand anywhere."""
    if not text or not isinstance(value, str):
        return ""
    start = next((at for form in (True, False) if (at := text.find(json.dumps(value, ensure_ascii=form))) >= 0), None)
    return "" if start is None else f", line {text.count(chr(10), 0, start) + 1}"


def _of_table(table: Table) -> dict[str, list[_Entry]]:
    """The entries of each split of a table."""
    names = table.column(table.image_column())
    lines = [f", line {line}" for line in table.lines]
    lower = {name.strip().lower(): name for name in table.header}
    number = next((lower[name] for name in _SPLITS if name in lower), None)
    part = next((lower[name] for name in _PART_COLUMNS if name in lower), None)
    if number is not None and part is not None:
        return _of_rows(table, names, lines, number, part)
    fold = next((lower[name] for name in _FOLDS if name in lower), None)
    if fold is not None:
        return _of_folds(table, names, lines, fold)
    columns = [name for name in table.header if name != table.image_column() and _holds_parts(table.column(name))]
    if not columns:
        raise DatasetError(
            f"{table.path} has no column of splits: expected columns with {', '.join(_PARTS)}, a column 'fold', or the "
            f"columns 'split' and 'part'; got {', '.join(table.header)}."
        )
    return {
        column: [
            (name, _part(table.path, cell, line, column), line)
            for name, cell, line in zip(names, table.column(column), lines, strict=True)
            if cell
        ]
        for column in columns
    }


def _holds_parts(cells: Iterable[str]) -> bool:
    """Whether most of the filled cells are parts of a split: a misspelt one is then a mistake, not another column."""
    filled = [cell.lower() in PART_NAMES for cell in cells if cell]
    return 2 * sum(filled) > len(filled)


def _part(path: Path, cell: str, line: str, column: str) -> str:
    if cell.lower() not in PART_NAMES:
        raise DatasetError(
            f"{path}{line}: expected train, validation or test in the column {column!r}, got {cell!r}. "
            f"{nearest_names(cell, PART_NAMES)}"
        )
    return PART_NAMES[cell.lower()]


def _of_rows(table: Table, names: list[str], lines: list[str], number: str, part: str) -> dict[str, list[_Entry]]:
    found: dict[str, list[_Entry]] = {}
    rows = zip(names, table.column(number), table.column(part), lines, strict=True)
    for name, split, cell, line in rows:
        if not split:
            raise DatasetError(f"{table.path}{line}: the column {number!r} of split numbers is empty here.")
        found.setdefault(split, []).append((name, _part(table.path, cell, line, part), line))
    return dict(sorted(found.items(), key=lambda item: _natural(item[0])))


def _of_folds(table: Table, names: list[str], lines: list[str], column: str) -> dict[str, list[_Entry]]:
    cells = table.column(column)
    empty = next((line for cell, line in zip(cells, lines, strict=True) if not cell), None)
    if empty is not None:
        raise DatasetError(f"{table.path}{empty}: the column {column!r} is empty here.")
    return {
        fold: [
            (name, "test" if cell == fold else "train", line)
            for name, cell, line in zip(names, cells, lines, strict=True)
        ]
        for fold in sorted(set(cells), key=_natural)
    }


def _natural(text: str) -> list[tuple[int, str]]:
    """Order texts with numbers in them by the numbers."""
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", text) if piece]


def _split(find: ImageFinder, file: Path, name: str, entries: Iterable[_Entry]) -> Split:
    part_of: dict[int, str] = {}
    for image, part, where in entries:
        index = find(image, where)
        if index is None:
            continue
        if index in part_of:
            again = "" if part_of[index] == part else f", first for {part_of[index]}, then for {part}"
            raise DatasetError(f"{file}{where}: split {name} lists {image!r} twice{again}.")
        part_of[index] = part
    parts = {
        part: np.array(sorted(index for index, its in part_of.items() if its == part), dtype=np.intp) for part in _PARTS
    }
    for part in ("train", "test"):
        if not len(parts[part]):
            raise DatasetError(f"{file}: split {name} has no images to {part} on.")
    return Split(**parts)
