"""A type checker tells misspelt keywords and wrong values of `create_metric`, and knows what it returns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RIGHT = """
from perceptmetrics import Metric, PerceptualLoss, create_metric
metric: Metric = create_metric("clip_uiqa", device="cpu", seed=3, prompts=["quality"], regressor=True)
loss: PerceptualLoss = create_metric("lite_iqa", as_loss=True, loss_weight=0.5, loss_reduction="sum")
"""
WRONG = [
    'create_metric("lite_iqa", devise="cpu")',
    'create_metric("lite_iqa", chekpoint=3)',
    'create_metric("lite_iqa", as_loss=True, loss_wieght=0.5)',
    'create_metric("lite_iqa", loss_weight=0.5)',
    'create_metric("clip_uiqa", regressor="yes please")',
    'create_metric("clipiqa", positional_embedding="bent")',
]


@pytest.mark.slow
def test_mistakes_are_told_and_right_calls_pass(tmp_path):
    pytest.importorskip("mypy", reason="the extra dev brings it")
    program = tmp_path / "program.py"
    program.write_text(RIGHT + "\n".join(WRONG) + "\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), str(program)]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False).stdout
    first = RIGHT.count("\n") + 1
    told = {
        int(line.split(":")[1]) for line in answer.splitlines() if f"{program.name}:" in line and ": error:" in line
    }
    assert told == set(range(first, first + len(WRONG))), answer
