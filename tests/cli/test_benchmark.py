"""`perceptmetrics benchmark` on small data sets made here."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from scipy.stats import spearmanr
from typer.testing import CliRunner

import perceptmetrics.apps.cli.metrics as creating
from perceptmetrics import create_metric, metric_info
from perceptmetrics.apps.cli.app import app
from perceptmetrics.errors import PerceptMetricsError
from perceptmetrics.images.examples import blurred, sample_photographs
from perceptmetrics.metrics import lite
from perceptmetrics.spec.json import spec_to_json
from tests.support.registered_metrics import build

EMOTIONS = ("amusement", "awe", "contentment", "excitement", "anger", "disgust", "fear", "sadness")
SCALE = ("--option", "columns=mos", "--option", "lower=1", "--option", "upper=5")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["benchmark", *map(str, arguments)])


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="session")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen photographs: the more blurred, the lower rated; with emotions that come in turn."""
    folder = tmp_path_factory.mktemp("rated")
    lines = ["image,mos,scene,emotion"]
    for scene, photograph in list(sample_photographs().items())[:4]:
        small = photograph.resize((96, 80))
        for level in range(4):
            name = f"{scene} {level}.png"
            (blurred(small, 0.8 * level) if level else small).save(folder / name)
            lines.append(f"{name},{5 - level},{scene},{EMOTIONS[(len(lines) - 1) % 8]}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_page_plot_statistics_and_predictions(rated: Path, tmp_path: Path) -> None:
    exported = tmp_path / "exported"
    exported.mkdir()
    (exported / "spec.json").write_text(spec_to_json(replace(metric_info("lite_iqa"), name="mine")))
    shutil.copy(Path(lite.__file__).parent / "lite_iqa" / "model.safetensors", exported)
    output = tmp_path / "out"
    cross = ("--cross", "csv", "--cross-root", rated, "--cross-option", "columns=mos")
    arguments = ("-d", "csv", "-r", rated, *SCALE, "--option", "group_column=scene", "--splits", "3", *cross)
    result = run("-m", "lite_iqa", "-m", exported, *arguments, "-o", output)
    assert result.exit_code == 0, result.output
    assert "median of 3 tests" in result.output
    names = {"benchmark.html", "benchmark.png", "benchmark.svg", "statistics.json", "predictions.csv"}
    assert {path.name for path in output.iterdir()} == names
    rows = read_rows(output / "predictions.csv")
    assert len(rows) == 32
    assert {row["part"] for row in rows[:16]} == {"train", "validation", "test"}
    assert {row["part"] for row in rows[16:]} == {""}
    score = create_metric("lite_iqa").score(rated / rows[5]["image"]).item()
    assert float(rows[5]["score.lite_iqa"]) == float(rows[5]["score.mine"]) == pytest.approx(score, abs=2e-6)
    assert float(rows[5]["fraction.mos"]) == pytest.approx((float(rows[5]["rating.mos"]) - 1) / 4)
    first, second = json.loads((output / "statistics.json").read_text())["benchmarks"]
    assert [entry["score"] for entry in first["ratings"]] == ["lite_iqa", "mine"]
    expected = spearmanr(*([float(row[column]) for row in rows[:16]] for column in ("score.lite_iqa", "rating.mos")))
    statistics = first["ratings"][0]
    assert statistics["all_images"]["srcc"] == pytest.approx(expected.statistic, abs=1e-3)
    assert statistics["all_images"]["srcc"] > 0.4
    assert (len(statistics["tests"]), second["splits"], second["ratings"][0]["tests"]) == (3, [], [])
    page = (output / "benchmark.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert "lite_iqa on mos<small>median of 3 tests</small>" in page


def test_a_list_of_splits_is_evaluated_and_checked(rated: Path, tmp_path: Path) -> None:
    names = [row["image"] for row in read_rows(rated / "labels.csv")]
    lists = [{"train": names[start + 6 :], "test": names[start : start + 6]} for start in (0, 2, 4)]
    (tmp_path / "lists.json").write_text(json.dumps(lists))
    output = tmp_path / "statistics.json"
    options = (*SCALE, "--splits", tmp_path / "lists.json")
    result = run("-m", "lite_iqa", "-d", "csv", "-r", rated, *options, "-o", output)
    assert result.exit_code == 0, result.output
    (summary,) = json.loads(output.read_text())["benchmarks"]
    assert [test["n"] for test in summary["ratings"][0]["tests"]] == [6, 6, 6]
    checked = CliRunner().invoke(app, ["dataset", "check", "csv", str(rated), *map(str, options)])
    assert "3, " in next(line for line in checked.output.splitlines() if line.startswith("splits"))


def test_a_broken_image_is_reported_and_the_exit_status_is_one(rated: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(rated, folder)
    first = read_rows(folder / "labels.csv")[0]["image"]
    (folder / first).write_bytes(b"no image")
    missing = read_rows(folder / "labels.csv")[1]["image"]
    (folder / missing).unlink()
    output = tmp_path / "statistics.json"
    arguments = ("-d", "csv", "-r", folder, *SCALE, "--splits", "0", "-o", output)
    refused = run(*arguments)
    assert isinstance(refused.exception, PerceptMetricsError)
    assert missing in str(refused.exception)
    result = run(*arguments, "--missing", "skip")
    assert result.exit_code == 1, result.output
    assert f"{first} is not an image in a format that can be read." in " ".join(result.output.split())
    assert f"1 labelled images have no file: {missing}." in " ".join(result.output.split())
    (summary,) = json.loads(output.read_text())["benchmarks"]
    assert [row["image"] for row in summary["failed"]] == [first]
    assert (summary["missing"], summary["ratings"][0]["all_images"]["n"]) == ([missing], 14)


def test_classes_are_evaluated_and_options_reach_the_metric(
    rated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def create(name: str, **options: Any) -> Any:
        asked.append({**options, "metric": build(name)})
        return asked[-1]["metric"]

    monkeypatch.setattr(creating, "create_metric", create)
    positive = [word for label in EMOTIONS[:4] for word in ("--option", f"positive_labels={label}")]
    encoder = ("--backbone-checkpoint", "clip.pt", "--precision", "int8", "--batch-size", "4", "--device", "cpu")
    arguments = ("-m", "perceptclip_emo", "-d", "csv", "-r", rated, "--option", "class_column=emotion", *positive)
    confusion = ("--confusion", f"{EMOTIONS[0]}={EMOTIONS[1]}")
    result = run(*arguments, *encoder, *confusion, "--splits", "0", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert asked[0]["backbone_checkpoint"] == Path("clip.pt")
    assert (asked[0]["precision"], asked[0]["device"]) == ("int8", "cpu")
    assert "macro F1" in result.output
    rows = read_rows(tmp_path / "out" / "predictions.csv")
    (summary,) = json.loads((tmp_path / "out" / "statistics.json").read_text())["benchmarks"]
    statistics = summary["classes"][0]["all_images"]
    predicted = asked[0]["metric"].predict([rated / row["image"] for row in rows])
    right = [guess["label"] == row["class"] for guess, row in zip(predicted, rows, strict=True)]
    assert statistics["accuracy"] == pytest.approx(sum(right) / 16)
    assert float(rows[3]["score.perceptclip_emo.fear"]) == pytest.approx(
        predicted[3]["probabilities"]["fear"], abs=2e-6
    )
    two_sides = asked[0]["metric"].predict([rated / row["image"] for row in rows], binary=True)
    right = [
        (guess["label"] == "positive") == (row["class"] in EMOTIONS[:4])
        for guess, row in zip(two_sides, rows, strict=True)
    ]
    assert statistics["binary_accuracy"] == pytest.approx(sum(right) / 16)
    assert sum(map(sum, statistics["confusion"])) == 16
    assert (tmp_path / "out" / "benchmark.png").stat().st_size > 10_000
    confused = [
        row["image"]
        for guess, row in zip(predicted, rows, strict=True)
        if (row["class"], guess["label"]) == tuple(EMOTIONS[:2])
    ]
    page = (tmp_path / "out" / "benchmark.html").read_text()
    assert f"{EMOTIONS[0]} taken for {EMOTIONS[1]}, {len(confused)} images" in page
    assert page.count('<div class="name">') == len(confused)
    refused = run(*arguments, "--confusion", f"{EMOTIONS[0]}=contentmint")
    assert "there is no class 'contentmint'" in str(refused.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-d", "livecc"], "There is no data set 'livecc'"),
        (["-d", "csv", "--option", "mos"], "Expected NAME=VALUE after --option, got 'mos'"),
        (["-d", "csv", "--option", "colums=mos"], "Did you mean 'columns'"),
        (["-d", "csv", *SCALE, "-o", "x.gif"], "ends in .html, .png"),
        (["-d", "csv", *SCALE, "--cross", "livec"], "Name the folder of livec with --cross-root"),
        (["-d", "csv", *SCALE, "-m", "lite"], "Did you mean 'lite_iqa'"),
        (["-d", "csv", "--option", "class_column=emotion", "--splits", "0"], "predicts no probabilities of labels"),
    ],
)
def test_bad_requests_say_what_to_do(arguments: list[str], message: str, rated: Path) -> None:
    result = run("-r", rated, *arguments)
    assert isinstance(result.exception, PerceptMetricsError)
    assert message in str(result.exception)


def test_options_of_another_data_set_need_one(rated: Path) -> None:
    result = run("-d", "csv", "-r", rated, "--cross-root", rated)
    assert result.exit_code == 2
    assert "go with --cross." in " ".join(result.output.split())
