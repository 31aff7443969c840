"""`perceptmetrics finetune`, in this process."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from perceptmetrics import create_metric
from perceptmetrics.apps.cli import app as app_module
from perceptmetrics.datasets import make_splits
from perceptmetrics.errors import InvalidOptionError, InvalidSpecError
from perceptmetrics.finetune import list_recipes, make_plan
from tests.finetune.tiny import RECIPE

LADDERS = "{kinds: [blur], showings: [whole], protocols: []}"
DATA = ("--option", "columns=redness", "--option", "lower=0", "--option", "upper=1")


@pytest.fixture
def run(tmp_path, pictures, encoder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "tiny.yaml").write_text(RECIPE)

    def command(*arguments, root=pictures, **options):
        stated = (tmp_path / "tiny.yaml", "--root", root, "--backbone-checkpoint", encoder, "--device", "cpu", *DATA)
        words = ["finetune", *(stated if root else ()), *arguments]
        return CliRunner().invoke(app_module.app, [str(word) for word in words], **options)

    return command


def flat(result):
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_list_names_every_recipe(run):
    result = run("--list", root=None)
    assert result.exit_code == 0
    words = result.output.split()
    assert all(name in words for name in list_recipes())


def test_run_trains_and_says_where_the_metric_is(run, tmp_path, encoder):
    result = run("--set", "epochs=2", "--set", "optimizer.lr=[1e-3]", "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert f'create_metric("{tmp_path / "run"}")' in result.output.replace("\n", "")
    assert "srcc" in result.output
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["medians"]["csv"]["redness"].keys() >= {"srcc", "plcc", "rmse"}
    with (tmp_path / "run" / "predictions.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 8
    assert create_metric(tmp_path / "run", backbone_checkpoint=encoder).labels == ()
    again = run("--set", "epochs=2", "--set", "optimizer.lr=[1e-3]", "-o", tmp_path / "run")
    assert isinstance(again.exception, InvalidOptionError)
    assert "--resume" in str(again.exception)
    resumed = run("--set", "epochs=2", "--set", "optimizer.lr=[1e-3]", "-o", tmp_path / "run", "--resume")
    assert resumed.exit_code == 0


def test_dry_run_prints_the_plan_and_writes_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PERCEPTMETRICS_CACHE", str(tmp_path / "cache"))
    before = sorted(tmp_path.rglob("*"))
    result = run("--dry-run", "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert "29 images for training, 3 for validation, 8 for test" in text
    assert "1,057 of" in text  # 64 x 16 + 16 + 16 + 1
    assert sorted(tmp_path.rglob("*")) == before


def test_the_plan_says_of_whose_answers_labels_are_made(run, tmp_path, pictures):
    folder = tmp_path / "asked"
    shutil.copytree(pictures, folder)
    rows = [line.split(",") for line in (folder / "labels.csv").read_text().splitlines()]
    asked = [["image", "rater", "redness"], *([row[0], who, row[1]] for row in rows[1:] for who in ("anna", "ben"))]
    (folder / "labels.csv").write_text("\n".join(map(",".join, asked[:-1])))
    people = ("--option", "rater_column=rater", "--set", "confidence=raters", "--dry-run")
    told = flat(run(*people, root=folder))
    count = len(rows) - 1
    assert f"csv: redness: mean of {2 * count - 1} ratings by 2 raters, 1 to 2, median 2 per image" in told
    assert f"images count {count / (2 * count - 1):.2f} to {2 * count / (2 * count - 1):.2f} times the mean" in told


def test_dry_run_names_images_on_which_another_data_set_trains(run, tmp_path, pictures, encoder):
    both = [f"data=[{{name: csv}}, {{name: ladders, options: {LADDERS}, loss: ranking}}]", "heads=shared"]
    words = [tmp_path / "tiny.yaml", "--backbone-checkpoint", encoder, "--dry-run", "--set", both[0], "--set", both[1]]
    roots = ["--root", f"csv={pictures}", "--root", f"ladders={pictures}", "--option", "csv.columns=redness"]
    roots += ["--option", "csv.group_column=pair"]
    result = run(*words, *roots, "--option", "csv.lower=0", "--option", "csv.upper=1", root=None)
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert re.search(r"csv is tested on \d images that ladders trains on \(split 1: \d+\.png, \.\.\.\)", text)
    assert re.search(r"ladders is tested on \d+ images that csv trains on \(split 1: \d+\.png/whole/blur/\d", text)


def test_twins_on_both_sides_of_a_split_are_named_before_training_and_in_its_files(run, tmp_path, pictures, caplog):
    twins = Path(shutil.copytree(pictures, tmp_path / "twins"))
    for number in range(0, 40, 2):
        Image.open(twins / f"{number:03d}.png").resize((56, 56)).save(twins / f"{number + 1:03d}.png", "JPEG")
    sentence = r"\d of the 8 test images of csv show the same picture as an image that it trains on"
    (planned,) = re.findall(sentence, " ".join(run("--dry-run", root=twins).output.split()))
    result = run("--set", "epochs=1", "--set", "optimizer.lr=[1e-3]", "-o", tmp_path / "run", root=twins)
    assert result.exit_code == 0, result.output
    assert [planned in record.message for record in caplog.records] == [True]
    assert "same picture" not in result.output  # the warning says so, and once is enough
    (overlap,) = json.loads((tmp_path / "run" / "summary.json").read_text())["overlaps"]
    assert len(overlap["names"]) == len(overlap["twins"]) == int(planned[0])
    page = (tmp_path / "run" / "report.html").read_text()
    assert planned in page
    assert f"{overlap['names'][-1]} = {overlap['twins'][-1]}" in page


def test_a_list_of_splits_is_trained_on_whole_and_what_is_left_out_is_said(run, tmp_path, pictures):
    names = [f"{number:03d}.png" for number in range(40)]
    lists = tmp_path / "lists.json"
    lists.write_text(
        json.dumps(
            [{"train": names[5:30], "val": names[30:35], "test": names[:5]}, {"train": names[:20], "test": names[20:]}]
        )
    )
    text = flat(run("--dry-run", "--splits", lists))
    assert "25 images for training, 5 for validation, 5 for test" in text
    assert "2 splits, 2 models to train" in text
    assert "given splits" not in text
    text = flat(run("--dry-run", "--splits", lists, "--set", "splits.count=3"))
    assert "csv: it has 2 given splits, so results are over 2, not over 3" in text
    for words, message in (
        ("csv=lists", "lists does not exist"),
        ("5", "--set splits.count=5"),
        ("no.json", "no.json"),
    ):
        assert message in str(run("--dry-run", "--splits", words).exception)


def test_different_numbers_of_splits_are_said(tmp_path, data, recipe):
    one = replace(data, name="one", official_splits=make_splits(data, 1))
    plan = make_plan(recipe("data=[{name: one}, {name: csv}]", "splits.count=4"), [one, data])
    assert plan.splits == 1
    assert [note.partition(":")[0] for note in plan.split_notes[:1]] == ["one"]
    assert "(1 of one, 4 of csv), so only the first 1 of each are trained" in plan.split_notes[1]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("--set", "epoch=3"), InvalidOptionError, "epochs"),
        (("--set", "train=loar"), InvalidSpecError, "lora"),
        (("--dry-run", "--option", "column=x"), InvalidOptionError, "column"),
        ((), InvalidOptionError, "--output runs/NAME"),
    ],
)
def test_mistakes_are_named(arguments, error, message, run, tmp_path):
    result = run(*arguments)
    assert result.exit_code != 0
    assert isinstance(result.exception, error)
    assert message in str(result.exception)


def test_recipe_without_a_name_is_asked_for(run):
    result = run(root=None)
    assert result.exit_code != 0
    assert "--list" in result.output


def test_unknown_recipe_is_answered_with_the_nearest(run, pictures):
    result = CliRunner().invoke(app_module.app, ["finetune", "lite_livek", "--root", str(pictures)])
    assert isinstance(result.exception, InvalidOptionError)
    assert "lite_livec" in str(result.exception)


def test_each_data_set_needs_a_folder(run, pictures, tmp_path):
    (tmp_path / "two.yaml").write_text(RECIPE.replace("data: csv", "data: [livec, csv]"))
    result = CliRunner().invoke(app_module.app, ["finetune", str(tmp_path / "two.yaml"), "--root", f"csv={pictures}"])
    assert isinstance(result.exception, InvalidOptionError)
    assert "NAME=FOLDER for each of livec, csv" in str(result.exception)
    assert Path(pictures).is_dir()
