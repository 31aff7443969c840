"""Tables of ratings are read as people's programs write them, or refused with the line and the reason."""

from __future__ import annotations

import logging
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from perceptmetrics.datasets import load_dataset
from perceptmetrics.datasets.lines import read_pairs
from perceptmetrics.datasets.locate import find_files, locate
from perceptmetrics.datasets.table import Table, read_table, read_workbook
from perceptmetrics.errors import DatasetError
from tests.datasets.layouts import workbook

PLAIN = "image,mos\né1.jpg,3.5\né2.jpg,2.25\n"
RIGHT = [3.5, 2.25]


def read(folder: Path, content: str | bytes, coding: str = "utf-8") -> Table:
    (folder / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode(coding))
    return read_table(folder / "t.csv")


def refusal(folder: Path, content: str | bytes, column: str | None = "mos") -> str:
    def ratings() -> None:
        table = read(folder, content)
        table.image_names(table.image_column())
        for name in table.rating_columns(None if column is None else [column], besides=["image"]):
            table.numbers(name)

    with pytest.raises(DatasetError) as caught:
        ratings()
    return str(caught.value)


@pytest.mark.parametrize(
    "coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "utf-32-be"]
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_encodings(tmp_path: Path, coding: str, newline: str) -> None:
    mark = "\ufeff" if coding == "utf-32-be" else ""
    table = read(tmp_path, mark + PLAIN.replace("\n", newline), coding)
    assert (table.column("image"), table.numbers("mos")) == (["é1.jpg", "é2.jpg"], RIGHT)


def test_windows_1252_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(tmp_path, PLAIN)
    assert not caplog.records
    read(tmp_path, PLAIN, "cp1252")
    assert "t.csv is not in UTF-8 and is read as Windows-1252" in caplog.text


@pytest.mark.parametrize(
    ("content", "numbers"),
    [
        ("image;mos\na;3,5\nb;2,25\n", RIGHT),
        ("image\tmos\na\t3,5\nb\t2,25\n", RIGHT),
        ("image|mos\na|3.5\nb|2.25\n", RIGHT),
        ('image,mos\na,"3,5"\nb,"2,25"\n', RIGHT),
        ('"image","mos"\n"a","3.5"\n"b","2.25"\n', RIGHT),
        ("sep=;\nimage;mos\na;3,5\nb;2,25\n", RIGHT),
        ("sep=;\r\nimage;mos\r\na;3,5\r\nb;2,25\r\n", RIGHT),
        ('"sep=\t"\nimage\tmos\na\t3.5\nb\t2.25\n', RIGHT),
        ("sep=,\nimage,mos\na,3.5\nb,2.25\n", RIGHT),
        ("\n\nimage,mos\n\na,3.5\n , \nb,2.25\n,\n,\n\n", RIGHT),
        ("image,mos,,\na,3.5,,\nb,2.25,,\n,,,\n", RIGHT),
        (" image , mos \n a , 3.5 \n b , 2.25 \n", RIGHT),
        ('image,mos,"raters; all"\na,3.5,\nb,2.25,\n', RIGHT),
        ("image;mos;raters (1,5)\na;3,5;\nb;2,25;\n", RIGHT),
        ('image,mos\na,"1,234.5"\nb,"2,000"\n', [1234.5, 2000]),
        ("image;mos\na;1.234,5\nb;2.000\n", [1234.5, 2000]),
        ("image;mos\na;1\u202f234,5\nb;2 000\n", [1234.5, 2000]),
        ("image,mos\na,1'234.5\nb,2\u2019000\n", [1234.5, 2000]),
        ("image;mos\na;3,125\nb;2,250\n", [3.125, 2.25]),
        ("image;mos\na;3.125\nb;2.250\n", [3.125, 2.25]),
        ('image,mos\na,"0,125"\nb,"0,250"\n', [0.125, 0.25]),
        ('image,mos,size\na,"3,125",1.5\nb,"2,250",2.5\n', [3125, 2250]),
        ("image,mos\na,\u22123.5\nb,1e1\n", [-3.5, 10]),
        ("image;mos\na;\nb;2,25\n", [np.nan, 2.25]),
        ("image;mos\na\nb;2,25\n", [np.nan, 2.25]),
    ],
)
def test_numbers(tmp_path: Path, content: str, numbers: list[float]) -> None:
    table = read(tmp_path, content)
    assert table.rating_columns(None, besides=["image"])[0] == "mos"
    assert table.column("image") == ["a", "b"]
    assert table.numbers("mos") == pytest.approx(numbers, nan_ok=True, abs=0)


@pytest.mark.parametrize("column", ["mos", None])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,mos\na,3,5\nb,2,25\n", "line 2 has 3 cells, and the header 2: 'a,3,5'. A number with a decimal comma"),
        ("image,mos\na,85%\n\nb,70 %\n", "got '85%' in line 2. Write percentages as plain numbers."),
        ('image,mos\na,"3,125"\nb,"2,250"\n', "line 2: '3,125' in the column 'mos' can be 3125 or 3.125"),
        ("image\tmos\na\t5\nb\t3,125\n", "line 3: '3,125' in the column 'mos' can be 3125 or 3.125"),
        ("image;mos\na;\nb;3,125\nc;2.125\n", "line 3: '3,125' in the column 'mos' can be 3125 or 3.125"),
        ("image;sd;mos\na;0,5;1.234\n", "line 2: '1.234' in the column 'mos' can be 1.234 or 1234"),
        ("image,mos\na,3.5\n,2.25\n", "line 3: the column 'image' of image names is empty"),
        ("image,mos\na,3.5\nb,1\n\na,2\n", r"'a' in more than one row (lines 2 and 5)"),
        ("image,mos,mos\na,3.5,3\n", "more than one column 'mos'"),
        ('image,mos\na,3.5\n"b,2\n', "line 3 is not a row of a CSV"),
        ("image,mos\na,3.5\n".encode("utf-16")[:-1], "not valid UTF-16"),
        (b"PK\x03\x04\x00\x00\x00\x00\x08\x00abc\x00\x00\x01", "a binary file"),
        (b"", "contains no ratings"),
        ("image,mos\n,\n", "contains no ratings"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(
    tmp_path: Path, content: str | bytes, message: str, column: str | None
) -> None:
    assert message in refusal(tmp_path, content, column)


@pytest.mark.parametrize("cell", ["3.Mai", "#N/A", "1_000", "3,5,1", "1.23.456", "inf", "12,34", "good"])
def test_a_cell_that_is_no_number_is_named_with_its_line(tmp_path: Path, cell: str) -> None:
    expected = f"expected numbers in the column 'mos', got {cell!r} in line 4"
    assert expected in refusal(tmp_path, f'image,mos\na,3.5\nb,4.5\nc,"{cell}"\n')


def test_a_column_that_is_nearly_numbers_is_not_left_out_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = read(tmp_path, "image,mos,sd,word\na,3.5,1,x\nb,4.5,2,y\nc,n/a,3,z\n")
    with caplog.at_level(logging.WARNING):
        assert table.rating_columns(None, besides=["image"]) == ["sd"]
    assert "the column 'mos' holds no ratings: 'n/a' in line 4" in caplog.text
    assert "word" not in caplog.text


def test_a_workbook_names_the_row(tmp_path: Path) -> None:
    table = read_workbook(workbook(tmp_path / "w.xlsx", [["image", "mos"], ["a", 3.5], [], ["b", "bad"], ["c", 2]]))
    with pytest.raises(DatasetError, match="got 'bad' in line 4"):
        table.numbers("mos")


def photographs(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


NFC, NFD = (unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("wanted", "there"), [(NFC, NFD), (NFD, NFC)])
@pytest.mark.parametrize("form", ["{}", "sub/{}", "sub\\{}", "./sub/{}", "sub/../sub/{}", " {}"])
def test_names_are_found_in_either_composition(tmp_path: Path, wanted: str, there: str, form: str) -> None:
    photographs(tmp_path, f"sub/{there}", "other.jpg")
    if ".." not in form:
        assert find_files([form.format(wanted)], tmp_path) == [tmp_path / "sub" / there]
    assert find_files([form.format(there)], tmp_path)[0] is not None


def test_one_name_stands_for_one_file(tmp_path: Path) -> None:
    photographs(tmp_path, f"a/{NFC}", f"b/{NFD}")
    assert find_files([NFC, NFD], tmp_path) == [tmp_path / "a" / NFC, tmp_path / "b" / NFD]
    photographs(tmp_path, f"c/{NFC}", f"d/{NFD}")
    assert find_files([NFC], tmp_path) == [None], "two files are equal"
    lonely = tmp_path / "lonely"
    photographs(lonely, NFD)
    with pytest.raises(DatasetError, match="both refer to"):
        find_files([NFC, NFD], lonely)


def test_folders_are_found_in_either_composition(tmp_path: Path) -> None:
    photographs(tmp_path, unicodedata.normalize("NFD", "Café/1.jpg"))
    assert find_files([unicodedata.normalize("NFC", "Café/1.jpg")], tmp_path) != [None]


def test_official_layouts_find_names_in_either_composition(tmp_path: Path) -> None:
    photographs(tmp_path, NFD.upper())
    assert locate(tmp_path, [NFC, "b.jpg"]) == [tmp_path / NFD.upper(), None]


def test_bytes_that_are_windows_1252_or_a_name_find_the_file(tmp_path: Path) -> None:
    table = b"image,mos\n\xe9.jpg,1\nb.jpg,2\n"
    for name in (NFC, NFD, os.fsdecode(b"\xe9.jpg")):
        folder = tmp_path / str(len(os.fsencode(name)))
        photographs(folder, name, "b.jpg")
        (folder / "labels.csv").write_bytes(table)
        assert [Path(str(image)).name for image in load_dataset("csv", folder, lower=1, upper=5).images] == [
            name,
            "b.jpg",
        ]


def test_names_of_our_own_tables_are_found(tmp_path: Path) -> None:
    from perceptmetrics._util.csv_cells import marked

    names = ["=1+1.jpg", "one\ntwo.jpg", "'=quoted.jpg", "'tis.jpg"]
    photographs(tmp_path, *names)
    assert find_files([marked(name) for name in names], tmp_path) == [tmp_path / name for name in names]


def test_impossible_names_are_missing(tmp_path: Path) -> None:
    photographs(tmp_path, "a.jpg")
    assert find_files(["x" * 5000 + ".jpg", "a\0.jpg", "..", "", "a.jpg"], tmp_path) == [
        *[None] * 4,
        tmp_path / "a.jpg",
    ]


def test_lists_are_read_in_every_encoding(tmp_path: Path) -> None:
    for coding in ("utf-8-sig", "utf-16", "cp1252"):
        (tmp_path / "list.txt").write_bytes("é.jpg 3.5\n".encode(coding))
        assert read_pairs(tmp_path / "list.txt", "a pair") == [(3.5, "é.jpg")]
