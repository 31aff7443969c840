"""`perceptmetrics export`: the file scores as the metric does, and what goes wrong is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceptmetrics import create_metric
from tests.cli.in_process import Command
from tests.portable.runs import largest_difference, run_onnx, run_pt2
from tests.support.photographs import photographs


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(monkeypatch, capsys)


def test_a_program_is_named_after_its_metric_and_its_format(command: Command) -> None:
    written = command("export", "lite_iqa", "--size", "96x128")
    assert written.returncode == 0
    assert "lite_iqa, float32, any number of images of 96 x 128 pixels" in " ".join(written.stdout.split())
    assert command("export", "lite_iqa", "--size", "96x128", "--format", "pt2").returncode == 0
    images, metric = photographs(96, 128), create_metric("lite_iqa")
    assert largest_difference(metric, run_onnx(Path("lite_iqa.onnx"), images), images) < 1e-4
    assert largest_difference(metric, run_pt2(Path("lite_iqa.pt2"), images), images) < 1e-4
    refused = command("export", "lite_iqa", "--size", "96x128")
    assert refused.returncode == 2
    assert "--overwrite" in refused.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "640"], "such as 480x640; got '640'"),
        (["--format", "pt2", "--precision", "int8"], "are for --format onnx"),
        (["--precision", "int8"], "--calibration FOLDER"),
        (["-o", "somewhere.pb"], "ends in .onnx"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(command: Command, options: list[str], message: str) -> None:
    refused = command("export", "lite_iqa", *options)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert not list(Path.cwd().iterdir())
