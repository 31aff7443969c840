"""A CSV of image paths is read as people's programs write it; see tests/datasets/test_tables.py for more forms."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.sources import NamedImage, find_sources

NFC, NFD = (unicodedata.normalize(form, "Café/é.png") for form in ("NFC", "NFD"))


def read(path: Path, content: str, coding: str = "utf-8") -> list[NamedImage]:
    path.write_bytes(content.encode(coding))
    return list(find_sources([path]))


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("cell", [NFC, NFC.replace("/", "\\"), f" {NFC} "])
def test_images_are_found_under_the_name_that_the_table_gives(
    tmp_path: Path, coding: str, separator: str, cell: str
) -> None:
    (tmp_path / NFD).parent.mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / NFD)
    (found,) = read(tmp_path / "t.csv", f"image{separator}prompt\n{cell}{separator}text\n\n", coding)
    assert (found.name, found.prompt) == (cell.strip(), "text")
    assert isinstance(found.source, str)
    assert Path(found.source).samefile(tmp_path / NFD)


def test_a_row_with_too_many_cells_is_named_after_those_before(tmp_path: Path) -> None:
    first, second = read(tmp_path / "t.csv", "image,prompt\na.png,one\nb.png,two,three\n")
    assert first.name == "a.png"
    assert isinstance(second.source, InvalidImageError)
    assert "line 3 has 3 cells" in str(second.source)


def test_two_files_of_one_composed_name_are_not_guessed_between(tmp_path: Path) -> None:
    odd = "e\u0301\u0323.png"  # three spellings of one letter
    for name in (odd, "e\u0323\u0301.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (found,) = read(tmp_path / "t.csv", f"image\n{unicodedata.normalize('NFC', odd)}\n")
    assert isinstance(found.source, str)
    assert not Path(found.source).exists()
