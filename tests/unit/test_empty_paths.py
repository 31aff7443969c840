"""An empty text is no path: the system would take it for the working directory, which nobody asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from perceptmetrics import create_metric, load_dataset, load_image, score_frame, score_video
from perceptmetrics.apps.cli.app import COMMANDS
from perceptmetrics.errors import InvalidImageError, InvalidOptionError, PerceptMetricsError
from perceptmetrics.experiments.compare import compare_folders
from perceptmetrics.experiments.ratings import read_ratings
from perceptmetrics.experiments.study_files import read_pairs
from perceptmetrics.export.programs.checks import check_file
from perceptmetrics.factory.create import create_pretrained_encoder
from perceptmetrics.factory.suite import MetricSuite
from perceptmetrics.finetune import finetune, load_recipe
from perceptmetrics.images.find import find_images
from perceptmetrics.images.sources import find_sources
from perceptmetrics.reports.files import write_report
from tests.cli.in_process import Command
from tests.support.encoded_images import encode, noise
from tests.support.mean_colour_metric import tiny_metric

METRIC = tiny_metric()
FRAME = pd.DataFrame({"image": [np.zeros((40, 40, 3), np.uint8)]})
IMAGES: dict[str, Callable[[], Any]] = {
    "score": lambda: METRIC.score(""),
    "score a list": lambda: METRIC.score([""]),
    "call": lambda: METRIC(""),
    "score of a suite": lambda: MetricSuite([METRIC]).score(""),
    "load_image": lambda: load_image(""),
    "find_images": lambda: list(find_images([""])),
    "find_sources": lambda: list(find_sources([""])),
    "score_video": lambda: score_video(METRIC, ""),
}
OPTIONS: dict[str, Callable[[], Any]] = {
    "name": lambda: create_metric(""),
    "checkpoint": lambda: create_metric("lite_iqa", checkpoint=""),
    "backbone_checkpoint": lambda: create_metric("lite_iqa", backbone_checkpoint=""),
    "cache_dir": lambda: create_metric("lite_iqa", cache_dir=""),
    "revision": lambda: create_metric("lite_iqa", revision=""),
    "cache_dir of an encoder": lambda: create_pretrained_encoder("lite_iqa", cache_dir=""),
    "root": lambda: load_dataset("koniq10k", ""),
    "path of ratings": lambda: read_ratings(""),
    "folder of ratings": lambda: read_ratings("x.csv", ""),
    "folder": lambda: score_frame(FRAME, METRIC, folder=""),
    "folder of a comparison": lambda: compare_folders(METRIC, "", "x"),
    "path of a study": lambda: read_pairs(""),
    "path of a program": lambda: check_file("", ".onnx", overwrite=True),
    "output": lambda: write_report("", "x", {}),
    "output of a training": lambda: finetune(load_recipe("lite_quality"), [], ""),
    "backbone_checkpoint of a training": lambda: finetune(load_recipe("lite_quality"), [], "x", backbone_checkpoint=""),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "a.png").write_bytes(encode(noise(64, 64), "PNG"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("road", IMAGES)
def test_an_empty_path_is_no_image_and_no_folder(road: str) -> None:
    with pytest.raises(InvalidImageError, match=r"empty"):
        IMAGES[road]()


@pytest.mark.parametrize("option", OPTIONS)
def test_an_empty_option_is_refused_by_its_name(option: str) -> None:
    with pytest.raises(InvalidOptionError, match=f"{option.split()[0]} is an empty text"):
        OPTIONS[option]()


def test_an_empty_path_in_a_frame_is_an_error_of_its_row() -> None:
    scored = score_frame(pd.DataFrame({"image": ["", "a.png"]}), METRIC)
    assert "empty" in scored["score_error"][0]
    assert scored["score_error"][1] is None


ALL = {
    f"{name} {inner}".strip(): function
    for panel in COMMANDS.values()
    for name, command in panel.items()
    for inner, function in (command if isinstance(command, dict) else {"": command}).items()
}


@pytest.mark.parametrize("name", ALL)
def test_no_command_takes_an_empty_argument(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    run = Command(monkeypatch, capsys)
    asked: list[tuple[list[str], str]] = [([""], "An argument is an empty text")]
    for option in inspect.signature(ALL[name]).parameters:
        flag = f"--{option.replace('_', '-')}"
        asked += [([flag, ""], f"{flag} is an empty text"), ([f"{flag}="], f"{flag} is an empty text")]
    for arguments, message in asked:
        result = run(*name.split(), *arguments)
        assert result.returncode == 2
        assert message in result.stderr
    assert [path.name for path in here.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "a.png", "--checkpoint", "lite_iqa="],
        ["score", "a.png", "-o", ""],
        ["score", "a.png", "-m", ""],
        ["benchmark", "koniq10k", "--root", ""],
        ["finetune", "lite_livec", "--root", "livec=", "-o", "run"],
    ],
)
def test_the_command_says_which_is_empty(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    result = Command(monkeypatch, capsys)(*arguments)
    assert result.returncode == 2
    assert "is an empty text" in result.stderr
    assert [path.name for path in here.iterdir()] == ["a.png"]


def test_the_working_directory_is_named_by_a_dot() -> None:
    assert METRIC.score(".").shape == (1,)
    with pytest.raises(PerceptMetricsError, match=r"spec\.json missing"):
        create_metric("lite_iqa", checkpoint=".")
