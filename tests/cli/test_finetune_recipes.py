"""`perceptmetrics finetune --list` and `--dry-run`."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from perceptmetrics.finetune import EpochRecord, Observer, RunResult, StageName, list_recipes, recipe_groups
from tests.cli.in_process import Command


@pytest.fixture
def perceptmetrics(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setenv("COLUMNS", "200")
    return Command(monkeypatch, capsys)


@pytest.fixture
def rated(tmp_path: Path) -> Path:
    """Forty pictures with two ratings each."""
    rows = ["image,beauty,arousal"]
    for number in range(40):
        Image.new("RGB", (64, 48), (6 * number, 90, 120)).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{1 + number % 5},{number / 10}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path


def test_the_list_names_every_recipe_under_its_group(perceptmetrics: Command) -> None:
    lines = [line.split("  ")[0].strip() for line in perceptmetrics("finetune", "--list").stdout.splitlines()]
    shown = [line for line in lines if line and line != "recipe"]
    expected = [word for title, recipes in recipe_groups().items() for word in (title, *(one.name for one in recipes))]
    assert shown == expected
    assert set(list_recipes()) < set(shown)


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(perceptmetrics: Command, rated: Path) -> None:
    before = set(rated.iterdir())
    options = (
        "--option",
        "columns=beauty",
        "--option",
        "columns=arousal",
        "--option",
        "lower=0",
        "--option",
        "upper=5",
    )
    result = perceptmetrics(
        "finetune", "lite_attributes", "--root", rated, *options, "--set", "splits.count=3", "--dry-run"
    )
    assert result.returncode == 0
    assert "csv: 32 images for training, 0 for validation, 8 for test" in result.stderr
    assert "3 splits, 4 models to train" in result.stderr
    head = (1024 + 1) * 192 + (192 + 1) * 2
    assert f"{head:,} of " in result.stderr
    assert set(rated.iterdir()) == before


def test_a_data_set_in_place_of_the_recipes_own_is_trained_on(perceptmetrics: Command, rated: Path) -> None:
    arguments = ("--dataset", "csv", "--root", rated, "--option", "columns=beauty", "--dry-run")
    assert "csv: 32 images" in perceptmetrics("finetune", "lite_livec", *arguments).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["perceptclip_koniq10", "--root", "x"], "Did you mean 'perceptclip_koniq10k'"),
        (["lite_quality", "--root", "x", "--set", "optimizer.learning=1"], "no key 'optimizer.learning'"),
        (["perceptclip_lamem_things", "--root", "x"], "--root NAME=FOLDER for each of lamem, things"),
        (["lite_quality", "--root", "x", "--option", "cvs.columns=a"], "Did you mean 'csv'"),
        ([], "Name a recipe"),
    ],
)
def test_what_cannot_be_done_is_refused(perceptmetrics: Command, arguments: list[str], message: str) -> None:
    result = perceptmetrics("finetune", *arguments, "--dry-run")
    assert result.returncode == 2
    assert message in result.stderr


@pytest.mark.parametrize(("rank", "speaks"), [("0", True), ("1", False)])
def test_of_several_processes_the_first_speaks(
    perceptmetrics: Command, rated: Path, monkeypatch: pytest.MonkeyPatch, rank: str, speaks: bool
) -> None:
    monkeypatch.setattr("perceptmetrics.finetune.finetune", two_epochs)
    monkeypatch.setenv("RANK", rank)
    arguments = ("--option", "columns=beauty", "-o", rated / "run")
    result = perceptmetrics("finetune", "lite_quality", "--root", rated, *arguments)
    assert ("images for training" in result.stderr) == speaks
    assert result.stderr.count(", epoch") == (1 if speaks else 0)  # the second follows within 20 seconds
    assert ("split 1 of 10, epoch 1 of 90: validation 0.500; 0%" in result.stderr) == speaks
    assert "nan" not in result.stderr
    assert "srcc" not in result.stdout


def two_epochs(*_: object, observer: Observer, **__: object) -> RunResult:
    """A run that tells of two epochs, the second without validation images, and ends in Ctrl-C."""
    stage = StageName(split=0, lr=1e-3, stage="main")
    for epoch, selection in enumerate((0.5, float("nan"))):
        record = EpochRecord(
            epoch=epoch, loss=0.25, validation_loss=0.5, lr=1e-3, validation={}, selection=selection, seconds=1.0
        )
        observer.step(stage, epoch, 1, 1, 0.25)
        observer.epoch(stage, record, best_epoch=0)
    raise KeyboardInterrupt
