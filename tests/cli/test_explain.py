"""`explain` and `heads`."""

from __future__ import annotations

import csv
import json

import pytest
from typer.testing import CliRunner

from perceptmetrics.apps.cli.app import app
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.images.examples import sample_photographs
from perceptmetrics.weights.cache import CACHE_VARIABLE
from tests.support import released_files


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def photographs(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("coffee", "astronaut"):
        photograph = sample_photographs()[name]
        photograph.thumbnail((96, 96))
        photograph.save(tmp_path / "photos" / f"{name}.png")
    return tmp_path / "photos"


@pytest.fixture
def perceptclip(tmp_path, monkeypatch):
    """Arguments of a tiny PerceptCLIP."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    with released_files.registered(tmp_path / "configurations"):
        file = released_files.write_released(tmp_path / "released.pth", "perceptclip_mem")
        yield ("-m", "perceptclip_mem", "--checkpoint", file)


def test_the_default_metric_is_explained_by_its_saliency(photographs, tmp_path):
    result = run("explain", photographs, "--samples", "1", "-o", tmp_path / "why")
    assert result.exit_code == 0, result.output
    assert "No attention: 'lite_iqa' has no attention heads" in result.stderr
    assert {path.name for path in (tmp_path / "why").iterdir()} == {
        "explain.html",
        "explain.json",
        *(f"0{number}-{name}.{form}" for number, name in ((1, "astronaut"), (2, "coffee")) for form in ("png", "svg")),
    }


def test_heads_are_ranked_and_then_looked_at(photographs, perceptclip, tmp_path):
    result = run("heads", photographs, *perceptclip, "--method", "exact", "-o", tmp_path / "heads")
    assert result.exit_code == 0, result.output
    with (tmp_path / "heads" / "heads.csv").open(newline="") as stream:
        best = next(csv.DictReader(stream))
    name = f"{best['layer']}.{best['head']}"
    assert result.stdout.splitlines()[1].split()[0] == name
    arguments = ("explain", photographs, *perceptclip, "--method", "attention", "--head-count", "1")
    result = run(*arguments, "--heads", tmp_path / "heads" / "heads.json", "-o", tmp_path / "why")
    assert result.exit_code == 0, result.output
    numbers = json.loads((tmp_path / "why" / "explain.json").read_text())
    assert [[head["head"] for head in image["heads"]] for image in numbers["images"]] == [[name]] * 2
    page = (tmp_path / "why" / "explain.html").read_text()
    assert page.count("<img ") == 2 * 4  # image, head, the head before training, difference
    assert "before training" in page


def test_nothing_is_computed_for_an_output_that_cannot_be_written(photographs, tmp_path):
    for command in (
        ("explain", photographs, "-o", tmp_path / "a.png"),
        ("heads", photographs, "-o", tmp_path / "a.txt"),
    ):
        result = run(*command, "-m", "no_such_metric")
        assert isinstance(result.exception, InvalidOptionError)


def test_an_unreadable_image_is_named_and_the_status_says_so(photographs, tmp_path):
    (photographs / "broken.png").write_bytes(b"")
    result = run("explain", photographs, "--method", "saliency", "--samples", "1")
    assert result.exit_code == 1
    assert "broken.png" in result.stderr
    assert "Add --output FOLDER for .html, .png, .svg, .json" in result.stderr
