"""The page about data sets names them all, with what their cards say."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceptmetrics.datasets import dataset_info, list_datasets

PAGE = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.partition("## ")[0].splitlines() if line.startswith("| `")]


def test_the_table_has_a_row_for_each_data_set_in_order() -> None:
    assert [row.split("`")[1] for row in ROWS] == list_datasets()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("`")[1])
def test_a_row_is_the_card(row: str) -> None:
    name = row.split("`")[1]
    info = dataset_info(name)
    images = "" if info.images is None else f"{info.images:,}"
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [f"`{name}`", info.title, info.task, images, info.scale, info.splits]
    module = "csv_file" if name == "csv" else name
    assert f"::: perceptmetrics.datasets.{module}\n" in PAGE
