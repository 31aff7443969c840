"""Read the first sheet of an .xlsx workbook: a zip of XML files (ECMA-376, part 1, section 18)."""

from __future__ import annotations

import re
import zipfile
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from perceptmetrics.datasets.table import Table
from perceptmetrics.errors import DatasetError, first_line

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_workbook"]

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
STRICT = "{http://purl.oclc.org/ooxml/spreadsheetml/main}"


def read_workbook(path: Path) -> Table:
    """Read a sheet whose first row is the header.

    Args:
        path: The workbook.

    Returns:
        Its first sheet, cells as the text that the file stores: formats and dates are not interpreted.

    Raises:
        DatasetError: It cannot be read, or holds no rows.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            strings = _shared_strings(archive)
            rows = _rows(archive, strings)
    except FileNotFoundError as error:
        raise DatasetError(f"{path} does not exist; expected an .xlsx workbook.") from error
    except (OSError, KeyError, IndexError, ValueError, zipfile.BadZipFile, ET.ParseError) as error:
        raise DatasetError(f"{path} cannot be read as an .xlsx workbook: {first_line(error)}.") from error
    if len(rows) < 2:
        raise DatasetError(f"{path} holds no ratings; expected a header and one row for each image.")
    columns = {letters: name for letters, name in rows[0].items() if name}
    cells = ({name: row.get(letters, "") for letters, name in columns.items()} for row in rows[1:])
    return Table(path=path, header=tuple(columns.values()), rows=tuple(row for row in cells if any(row.values())))


def _shared_strings(archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    return [_text(item) for item in _parse(archive, "xl/sharedStrings.xml").iter("si")]


def _rows(archive: zipfile.ZipFile, strings: list[str]) -> list[dict[str, str]]:
    """Cells of each row by the letters of their column."""
    sheets = [name for name in archive.namelist() if re.fullmatch(r"xl/worksheets/[^/]*\.xml", name)]
    if not sheets:
        raise ValueError("it holds no sheet")
    first = min(sheets, key=lambda name: (len(name), name))  # sheet2 before sheet10
    rows = []
    for row in _parse(archive, first).iter("row"):
        cells = {}
        for index, cell in enumerate(row.iter("c")):
            letters = re.sub(r"\d", "", cell.get("r", "")) or _letters(index)
            cells[letters] = _value(cell, strings).strip()
        rows.append(cells)
    return rows


def _parse(archive: zipfile.ZipFile, name: str) -> ET.Element:
    text = archive.read(name)
    if b"<!DOCTYPE" in text:  # the format has none, and entities that grow without end would need one
        raise ValueError(f"{name} declares a document type")
    root = ET.fromstring(text)  # noqa: S314 - see above
    for element in root.iter():
        element.tag = element.tag.removeprefix(MAIN).removeprefix(STRICT)
    return root


def _value(cell: ET.Element, strings: list[str]) -> str:
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        return _text(cell)
    stored = cell.findtext("v", "")
    return strings[int(stored)] if kind == "s" else stored


def _text(element: ET.Element) -> str:
    """The text of a string, which may come in several runs of one format each."""
    return "".join(part.text or "" for part in element.iter("t"))


def _letters(index: int) -> str:
    letters = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return letters
