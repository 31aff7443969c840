"""The examples run in their short form, write what they say, and reach what can be reached so fast."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from perceptmetrics import load_image
from perceptmetrics.images.examples import sample_photographs

ROOT = Path(__file__).parents[2]


def run(script, folder, *arguments):
    """What an example prints, run as a user would."""
    ended = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            str(ROOT / "examples" / script),
            "--quick",
            "--output",
            str(folder),
            *arguments,
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    return ended.stdout


@pytest.fixture(scope="module")
def restored(tmp_path_factory):
    """Output and folder of the restoration."""
    folder = tmp_path_factory.mktemp("restoration") / "output"
    return run("restoration/train.py", folder, "--weights", "0.02", "0.3"), folder


def results_of(folder):
    results = json.loads((folder / "results.json").read_text())
    return results, {row["name"]: row for row in results["rows"]}


def test_training_with_l1_raises_psnr_above_that_of_the_noisy_photographs(restored):
    rows = results_of(restored[1])[1]
    assert rows["L1"]["psnr"] > rows["noisy"]["psnr"] + 1.0


def test_the_perceptual_term_falls_and_is_compared_at_equal_steps(restored):
    results, rows = results_of(restored[1])
    assert list(rows) == ["noisy", "L1", "L1 + 0.02 x lite_iqa", "L1 + 0.3 x lite_iqa", "clean"]
    assert rows["L1 + 0.3 x lite_iqa"]["score"] > rows["L1"]["score"] + 0.01
    curves = results["curves"]
    assert len({tuple(curve["steps"]) for name, curve in curves.items() if name != "L1, first part"}) == 1
    assert curves["L1, first part"]["psnr"][-1] == curves["L1"]["psnr"][0]


def test_all_numbers_of_the_restoration_are_finite(restored):
    results, rows = results_of(restored[1])
    assert all(math.isfinite(row["score"]) for row in rows.values())
    assert all(math.isfinite(row["psnr"]) for name, row in rows.items() if name != "clean")
    assert all(math.isfinite(value) for curve in results["curves"].values() for value in curve["psnr"] + curve["score"])


def test_the_restoration_writes_a_table_a_plot_and_pictures(restored):
    printed, folder = restored
    assert (folder / "table.md").read_text() in printed
    assert {path.name for path in folder.iterdir()} == {"before_after.jpg", "results.json", "table.md", "training.png"}
    with Image.open(folder / "before_after.jpg") as picture:
        assert picture.size == (5 * 64, 64)  # noisy, three networks, clean; one photograph is left out
    with Image.open(folder / "training.png") as plot:
        assert min(plot.size) > 200


def test_too_few_photographs_are_refused(tmp_path):
    (tmp_path / "photos").mkdir()
    sample_photographs()["chelsea"].save(tmp_path / "photos" / "chelsea.png")
    with pytest.raises(AssertionError, match="At least two photographs of 64 pixels are needed, found 1"):
        run("restoration/train.py", tmp_path / "output", "--photos", str(tmp_path / "photos"))


@pytest.fixture(scope="module", params=["up", "down"])
def probed(request, tmp_path_factory):
    """Direction, output and folder of the probe."""
    folder = tmp_path_factory.mktemp("probe") / "output"
    return request.param, run("probe/optimise.py", folder, "--direction", request.param), folder


def test_the_probe_moves_the_score_and_noise_of_the_same_size_does_not(probed):
    direction, _, folder = probed
    results = json.loads((folder / "results.json").read_text())
    scores, sign = results["scores"], 1 if direction == "up" else -1
    assert len(results["trace"]) == 9
    assert all(math.isfinite(score) for score in [*results["trace"], *scores.values()])
    gained = sign * (scores["after"] - scores["before"])
    assert gained > 0.05
    assert abs(scores["noise of the same size"] - scores["before"]) < gained / 4
    assert results["trace"][-1] == scores["after"]


def test_the_probe_keeps_its_bound_in_the_file_that_it_writes(probed):
    _, printed, folder = probed
    names = {"after.png", "before_after_difference.jpg", "results.json", "table.md", "trace.png"}
    assert {path.name for path in folder.iterdir()} == names
    assert "Largest change 4 of 255" in printed
    after = load_image(folder / "after.png")
    with Image.open(folder / "before_after_difference.jpg") as picture:
        before = load_image(picture.crop((0, 0, after.shape[-1], after.shape[-2])))
    assert torch.corrcoef(torch.stack([before.flatten(), after.flatten()]))[0, 1] > 0.98
