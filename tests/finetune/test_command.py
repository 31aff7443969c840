"""`perceptmetrics finetune`, in this process."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from perceptmetrics import create_metric
from perceptmetrics.apps.cli import app as app_module
from perceptmetrics.apps.cli import finetune_progress
from perceptmetrics.apps.cli.progress import seconds_left
from perceptmetrics.datasets import load_dataset, make_splits
from perceptmetrics.datasets.doubts import label_doubts
from perceptmetrics.errors import DatasetError, InvalidOptionError, InvalidSpecError
from perceptmetrics.finetune import EpochRecord, StageName, list_recipes, make_plan
from perceptmetrics.finetune.data.checks import check_labels
from tests.finetune.tiny import RECIPE, rated, write_pictures

LADDERS = "{kinds: [blur], showings: [whole], protocols: []}"
DATA = ("--option", "columns=redness", "--option", "lower=0", "--option", "upper=1")

OTHERS = (("score",), ("info",), ("list",), ("finetune",))


@pytest.fixture
def run(tmp_path, pictures, encoder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "tiny.yaml").write_text(RECIPE)

    def command(*arguments, root=pictures, **options):
        stated = (tmp_path / "tiny.yaml", "--root", root, "--backbone-checkpoint", encoder, "--device", "cpu", *DATA)
        words = arguments if arguments[:1] in OTHERS else ("finetune", *(stated if root else ()), *arguments)
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


def test_metrics_are_named_after_their_folder_or_by_name(run, tmp_path, pictures, encoder):
    quick = ("--set", "epochs=1", "--set", "optimizer.lr=[1e-3]")
    first = run(*quick, "-o", tmp_path / "my photos")
    assert first.exit_code == 0, first.output
    assert run(*quick, "--name", "second", "-o", tmp_path / "b").exit_code == 0
    assert run(*quick, "--set", "name=third", "-o", tmp_path / "c").exit_code == 0
    folders = [tmp_path / name for name in ("my photos", "b", "c")]
    metrics = [word for folder in folders for word in ("--metric", folder)]
    scored = run(
        "score", pictures / "000.png", *metrics, "--backbone-checkpoint", encoder, "--format", "csv", root=None
    )
    assert scored.exit_code == 0, scored.output
    assert "image,my_photos,second,third,error" in scored.output
    for folder, name in zip(folders, ("my_photos", "second", "third"), strict=True):
        assert f"# {name}\n" in (folder / "README.md").read_text()
        assert f"<h1>{name}</h1>" in (folder / "report.html").read_text()
        assert name in run("info", folder, root=None).output
    listed = run("list", "lite*", *folders, root=None).output
    assert [line.split()[0] for line in listed.splitlines()[1:]].count("lite_iqa") == 1
    assert all(folder.name in listed for folder in folders)
    other = run(*quick, "-o", tmp_path / "b", "--resume")
    assert "another --name" in str(other.exception)


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


def test_progress_of_a_run_in_a_pipe_is_a_line_now_and_then(run, tmp_path, monkeypatch):
    monkeypatch.setattr(finetune_progress, "_LINE_AFTER", 1e9)
    quick = ("--set", "optimizer.lr=[1e-3, 1e-2]", "--set", "splits={count: 2, export: all}", "--set", "epochs=4")
    result = run(*quick, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert sum("epoch" in line and "up to" not in line for line in result.output.splitlines()) <= 1


def test_the_bar_counts_all_epochs_of_the_run(recipe, data):
    chosen = recipe("optimizer.lr=[1e-3, 1e-2]", "splits={count: 2, export: all}", "epochs=4")
    lines = []
    bar = finetune_progress.TrainingBar(chosen, [data], enabled=False)
    bar._line = lines.append
    assert bar.total == 5 * 4
    names = [StageName(split=split, lr=lr, stage="main") for split in (0, 1) for lr in chosen.optimizer.lr]
    for name in [*names, StageName(split=2, lr=1e-3, stage="main")]:
        for epoch in range(2):  # it stops early
            for step in (1, 2):
                bar.step(name, epoch, step, 2, 0.5)
            record = EpochRecord(
                epoch=epoch, loss=0.5, validation_loss=1, validation={}, selection=0.7, lr=1, seconds=1
            )
            bar.epoch(name, record, 0)
    assert [line.partition(";")[0] for line in lines[:2]] == [
        "split 1 of 2, learning rate 1 of 2, epoch 1 of 4: validation 0.700",
        "split 1 of 2, learning rate 1 of 2, epoch 2 of 4: validation 0.700 (best in epoch 1)",
    ]
    assert [re.search(r"(\d+) ?%", line).group(1) for line in lines] == [
        "5",
        "10",
        "25",
        "30",
        "45",
        "50",
        "65",
        "70",
        "85",
        "90",
    ]
    assert lines[-1].startswith("all images, epoch 2 of 4")


def test_the_bar_can_be_drawn_at_any_moment(recipe, data, monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    monkeypatch.setattr(finetune_progress, "messages", console)
    bar = finetune_progress.TrainingBar(recipe("splits={count: 2}", "epochs=4"), [data], enabled=True)
    reset = bar._progress.reset

    def drawn_at_once(*arguments, **options):  # as by the thread that draws
        reset(*arguments, **options)
        bar._progress.refresh()

    monkeypatch.setattr(bar._progress, "reset", drawn_at_once)
    stage = StageName(split=0, lr=1e-3, stage="main")
    record = EpochRecord(epoch=0, loss=0.5, validation_loss=1, validation={}, selection=0.7, lr=1, seconds=1)
    with bar:
        bar.encoding("csv", 3, 10)
        bar.step(stage, 0, 1, 2, 0.5)
        bar._progress.refresh()
        bar.epoch(stage, record, 0)
        bar.step(stage, 1, 1, 2, 0.5)
        bar._progress.refresh()
    shown = console.file.getvalue()
    assert all(text in shown for text in ("features of csv", "epoch 1 of 4", "loss 0.500", "validation 0.700", "left"))


def test_time_left_follows_the_mean_rate():
    assert seconds_left(8, 2000, 5.0) == pytest.approx(1245)
    assert seconds_left(16, 2000, 10.0) == pytest.approx(1240)
    assert seconds_left(8, 2000, 0.1) is None
    assert seconds_left(0, 2000, 9.0) is None
    assert seconds_left(8, None, 9.0) is None


def test_splits_are_counted_from_one_everywhere(run, tmp_path):
    result = run("--set", "optimizer.lr=[1e-3]", "--set", "splits.count=2", "--set", "epochs=1", "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "run"
    with (folder / "predictions.csv").open() as stream:
        assert {row["split"] for row in csv.DictReader(stream)} == {"1", "2"}
    assert [one["split"] for one in json.loads((folder / "summary.json").read_text())["splits"]] == [1, 2]
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["split"] for line in lines] == [1, 2]
    boards = sorted(path.name for path in (folder / "tensorboard").iterdir())
    assert [name.partition("_lr")[0] for name in boards] == ["split_1", "split_2"]


WRONG = [
    ((), "'pair_no' (1 to 20; by its name no rating)", "--option columns=mos --option lower=0 --option upper=1"),
    (("columns=mos", "lower=1", "upper=5"), "beyond their scale of 1 to 5", "--option lower=0 --option upper=1"),
    (("columns=same",), "All ratings 'same' are equal (3)", ""),
    (("class_column=one",), "All images are of the class 'x'", ""),
]


@pytest.fixture(scope="module")
def odd_pictures(tmp_path_factory):
    """Pictures whose table also has a number of the image, a group, equal ratings, and a single class."""
    folder = write_pictures(tmp_path_factory.mktemp("odd"), 40)
    with (folder / "labels.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    lines = [
        f"{row['image']},{row['redness']},{index // 2 + 1},{7 * index + 1001},3,x" for index, row in enumerate(rows)
    ]
    (folder / "labels.csv").write_text("\n".join(["image,mos,pair_no,serial,same,one", *lines]))
    return folder


@pytest.mark.parametrize(("options", "found", "line"), WRONG)
def test_what_cannot_be_right_is_not_trained_on(options, found, line, run, odd_pictures, tmp_path, encoder):
    stated = [word for option in options for word in ("--option", option)]
    words = (tmp_path / "tiny.yaml", "--root", odd_pictures, "-o", tmp_path / "run", *stated)
    loss = ("--set", "loss=cross_entropy") if "class_column=one" in options else ()
    result = run("finetune", *words, *loss, root=None)
    assert isinstance(result.exception, DatasetError)
    message = str(result.exception)
    assert found in message
    assert line in message
    assert not (tmp_path / "run").exists()
    if line:
        assert f"\n  perceptmetrics finetune {tmp_path / 'tiny.yaml'} --root {odd_pictures} " in message
        typed = shlex.split(message.rpartition("\n")[2])[1:]
        again = run(*typed, "--backbone-checkpoint", encoder, "--device", "cpu", "--dry-run", root=None)
        assert again.exit_code == 0, again.exception


def test_what_looks_wrong_is_said(run, odd_pictures, tmp_path, caplog):
    words = (tmp_path / "tiny.yaml", "--root", odd_pictures, "--dry-run", "--option", "columns=serial")
    ends = ("--option", "lower=0", "--option", "upper=10000")
    result = run("finetune", *words, *ends, root=None)
    assert result.exit_code == 0, result.exception
    text = " ".join(result.output.split())
    assert "'serial' does not look like a rating: another whole number for each image" in text
    assert "range from 1001 to 1274 only, a small part of their scale of 0 to 10000" in text
    assert not label_doubts(rated(odd_pictures, ("mos",)))
    check_labels([rated(odd_pictures, ("serial",), lower=0, upper=10000)])
    assert "does not look like a rating" in caplog.text
    with pytest.raises(DatasetError, match="No column of ratings is stated"):
        check_labels([load_dataset("csv", odd_pictures)])
