"""`perceptmetrics check`: verdicts in each form, and a status for continuous integration."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from perceptmetrics.images.examples import sample_photographs
from tests.cli.in_process import Command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    sample_photographs()["chelsea"].save(tmp_path / "out" / "cat.png")
    Image.new("RGB", (64, 48), (128, 128, 128)).save(tmp_path / "out" / "grey.png")
    (tmp_path / "out" / "none.jpg").write_bytes(b"no image")
    return tmp_path / "out"


def test_a_table_names_the_broken_images_and_the_status_is_1(
    perceptmetrics: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    result = perceptmetrics("check", ".")
    assert result.returncode == 1
    assert "cat.png" not in result.stdout
    assert "grey.png" in result.stdout
    assert "unreadable" in result.stdout
    assert "2 of 3 images are broken." in result.stderr


def test_healthy_images_end_with_status_0(perceptmetrics: Command, folder: Path) -> None:
    result = perceptmetrics("check", folder / "cat.png")
    assert (result.returncode, result.stdout) == (0, "")
    assert "0 of 1 images are broken." in result.stderr


def test_a_file_has_every_image(perceptmetrics: Command, folder: Path, tmp_path: Path) -> None:
    assert perceptmetrics("check", folder, "-o", tmp_path / "all.jsonl").returncode == 1
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [(Path(line["image"]).name, line["broken"], line["kind"]) for line in lines] == [
        ("cat.png", False, None),
        ("grey.png", True, "constant"),
        ("none.jpg", True, "unreadable"),
    ]
    assert (lines[1]["value"], lines[1]["threshold"], lines[2]["value"]) == (0.0, 8.0, None)
    printed = perceptmetrics("check", folder, "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [row["broken"] for row in rows] == ["false", "true", "true"]
    assert (rows[0]["kind"], rows[2]["value"]) == ("", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent_folder/*.png"], "No file matches"),
        (["x.png", "-o", "verdicts.parquet"], "CSV or JSON Lines, got 'parquet'"),
        (["x.png", "-o", "."], "got no suffix"),
        (["x.png", "-o", "v.csv", "--format", "table"], "got 'table'"),
    ],
)
def test_a_fault_of_the_command_itself_has_status_2(
    perceptmetrics: Command, arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = perceptmetrics("check", *arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert list(tmp_path.iterdir()) == []
