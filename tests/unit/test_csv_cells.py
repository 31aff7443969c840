"""No text in a CSV is computed by a spreadsheet or obeyed by a terminal, and each is read back as it was."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptmetrics._util.csv_cells import csv_line, marked, unmarked
from perceptmetrics.scoring.results import csv_bytes

DANGEROUS = "=+-@\t\r\n\x1b\x9b\x00\u202e\u2066\u2028\uff1d\uff0b\uff0d\uff20"
texts = st.text(st.sampled_from("'=+-@\\;,\" \t\r\n\x1b\u202e\uff1dxun01aé\udcff"), max_size=8) | st.text(max_size=8)


@given(texts)
def test_every_text_is_read_back_from_a_harmless_cell(text: str) -> None:
    line = csv_line([text, 0.5])
    assert line.count("\n") == 1
    ((cell, number),) = csv.reader(io.StringIO(line, newline=""))
    assert (unmarked(cell), number) == (text, "0.500000")
    assert cell[:1] not in set(DANGEROUS)
    assert not set(cell) & set("\t\r\n\x1b\x9b\x00\u202e\u2066\u2028")


@given(texts, texts)
def test_no_two_texts_share_a_cell(one: str, other: str) -> None:
    assert (marked(one) == marked(other)) == (one == other)


@pytest.mark.parametrize(
    "text", ["photo.png", "'tis.png", "a-b=c.png", r"sub\a.png", "é 1.png", "'x.png' is truncated", ""]
)
def test_ordinary_texts_stay_as_they_are(text: str) -> None:
    assert marked(text) == unmarked(text) == text


def test_a_cell_cannot_be_divided_by_a_spreadsheet_that_expects_semicolons() -> None:
    assert csv_line(["a;=1+1.png", 1]) == '"a;=1+1.png",1\n'


def test_numbers_are_numbers() -> None:
    row = [-0.5, np.float64(-0.25), np.float32(-0.125), -3, np.int64(-4), float("nan"), None, True]
    assert csv_line(row) == "-0.500000,-0.250000,-0.125000,-3,-4,,,True\n"


def test_a_report_marks_texts_and_headings() -> None:
    assert csv_bytes(["image", "@score"], [["=1+1.png", -0.5]]) == b"image,'@score\n'=1+1.png,-0.500000\n"
