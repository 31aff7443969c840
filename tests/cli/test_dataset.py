"""`perceptmetrics dataset list` and `dataset check`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from perceptmetrics.apps.cli import console
from perceptmetrics.datasets import dataset_info, list_datasets
from tests.cli.in_process import Command
from tests.datasets import layouts


def test_list_names_every_data_set_with_its_size_and_source(
    perceptmetrics: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.results, "width", 400)
    result = perceptmetrics("dataset", "list")
    assert result.returncode == 0
    rows = {line.split()[0]: line for line in result.stdout.splitlines()[1:]}
    assert list(rows) == list_datasets()
    for name, row in rows.items():
        info = dataset_info(name)
        assert info.task in row
        assert info.paper in row
        assert info.licence in row
        assert info.obtain in row
    assert "1,162" in rows["livec"]


def test_list_does_not_import_torch() -> None:
    program = (
        "import sys; from perceptmetrics.apps.cli.app import app; app(['dataset', 'list'], standalone_mode=False); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def test_check_of_a_sound_folder(perceptmetrics: Command, tmp_path: Path) -> None:
    layouts.csv_file(tmp_path)
    result = perceptmetrics(
        *(
            "dataset",
            "check",
            "csv",
            tmp_path,
            "--option",
            "columns=annoyance",
            "--option",
            "lower=1",
            "--option",
            "upper=5",
        ),
        *("--option", "lower_is_better=true", "--option", "group_column=scene"),
    )
    assert result.returncode == 0, result.stderr
    assert "csv (quality)" in result.stdout
    assert "1 to 5, mean 3 (scale 1 to 5, lower is better), 12 images" in result.stdout
    assert "Problem" not in result.stdout


def test_check_says_of_whose_answers_labels_are_made(perceptmetrics: Command, tmp_path: Path) -> None:
    rows = ["image,rater,mos"]
    for number in range(8):
        layouts.picture(tmp_path / f"{number}.png", number)
        rows += [f"{number}.png,anna,{number}", f"{number}.png,ben,{number + number % 2}"]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    stated = ("--option", "lower=0", "--option", "upper=9", "--splits", "1")
    result = perceptmetrics("dataset", "check", "csv", tmp_path, "--option", "rater_column=rater", *stated)
    assert result.returncode == 0, result.stderr
    assert "mean of 16 ratings by 2 raters, 2 per image; ICC of one rating 0.9" in result.stdout
    refused = perceptmetrics("dataset", "check", "csv", tmp_path, *stated)
    assert "--option rater_column=rater" in refused.stderr


def test_check_names_what_is_missing_and_what_is_corrupt(perceptmetrics: Command, tmp_path: Path) -> None:
    made = layouts.tid2013(tmp_path)
    assert made.files is not None
    made.files["I01_01_1.bmp"].unlink()
    made.files["I02_01_1.bmp"].write_text("no image")
    result = perceptmetrics("dataset", "check", "tid2013", tmp_path)
    assert result.returncode == 1
    assert "Problem: 1 labelled images have no file." in result.stdout
    assert "Missing: I01_01_1.bmp" in result.stdout
    assert "Unreadable: I02_01_1.bmp (" in result.stdout
    assert "i02_01_1.BMP is not an image in a format that can be read" in result.stdout
    assert "Problem: There are labels for 12 images; the official release has 3000." in result.stdout
    accepted = perceptmetrics("dataset", "check", "tid2013", tmp_path, "--missing", "skip")
    assert "have no file" not in accepted.stdout
    assert "Missing: I01_01_1.bmp" in accepted.stdout


def test_check_names_leaks_of_a_published_split(perceptmetrics: Command, tmp_path: Path) -> None:
    made = layouts.flive(tmp_path)
    assert made.files is not None
    (one, *_), (other, *_) = sorted(made.splits[0][0]), sorted(made.splits[0][2])
    made.files[one].write_bytes(made.files[other].read_bytes())
    result = perceptmetrics("dataset", "check", "flive", tmp_path)
    assert result.returncode == 1
    assert "Problem: Split 1: train and test overlap (content: 1)." in result.stdout
    assert f"In train and test of split 1 (content): {one} = {other}" in result.stdout


def test_what_is_typed_wrong_is_refused(perceptmetrics: Command, tmp_path: Path) -> None:
    for arguments, message in (
        (("liveck", tmp_path), "Did you mean 'livec'"),
        (("csv", tmp_path, "--option", "colums=mos"), "csv has no option 'colums'. Did you mean 'columns'"),
        (("csv", tmp_path, "--option", "columns"), "Expected NAME=VALUE after --option, got 'columns'."),
    ):
        result = perceptmetrics("dataset", "check", *arguments)
        assert result.returncode == 2
        assert message in " ".join(result.stderr.split())
