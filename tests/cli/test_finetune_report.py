"""`perceptmetrics finetune` ends with a report."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.in_process import Command
from tests.finetune.runs import pictures


def test_a_run_ends_with_a_report_and_plots_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = Command(monkeypatch, capsys)
    names = [f"{number}.png" for number in range(20)]
    pictures(tmp_path / "data", names)
    rows = [f"{name},{number}" for number, name in enumerate(names)]
    (tmp_path / "data" / "labels.csv").write_text("\n".join(["image,mos", *rows]))
    arguments = ["finetune", "lite_livec", "--dataset", "csv", "--root", tmp_path / "data", "-o", tmp_path / "run"]
    for option in ("columns=mos", "lower=0", "upper=19"):
        arguments += ["--option", option]
    for setting in ("epochs=2", "splits.count=1"):
        arguments += ["--set", setting]
    refused = command(*arguments, "--plots", "gif")
    assert refused.returncode == 2
    assert "got 'gif'" in refused.stderr
    assert not (tmp_path / "run").exists()
    result = command(*arguments, "--plots", "svg")
    assert result.returncode == 0, result.stderr
    assert f"report: {tmp_path / 'run' / 'report.html'}" in result.stdout
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "4 test images" in page
    assert "epochs: 2" in page
    plots = {path.name for path in (tmp_path / "run" / "plots").iterdir()}
    assert {"curves_main.svg", "scatter_csv.svg", "histogram_csv.svg"} <= plots
