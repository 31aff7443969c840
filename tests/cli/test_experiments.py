"""The commands of the papers' experiments, on real images where those are there."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from perceptmetrics import create_metric, metric_info
from perceptmetrics.apps.cli.app import app
from perceptmetrics.errors import PerceptMetricsError
from perceptmetrics.experiments import read_pairs
from perceptmetrics.images.examples import blurred, noisy, sample_photographs
from perceptmetrics.metrics import lite
from perceptmetrics.spec.json import spec_to_json
from tests.cli.in_process import Command
from tests.support.rated_data import data_folder
from tests.support.registered_metrics import build


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def run(*arguments: str | Path) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small real photographs in `sharp/`, the same ones blurred in `blurred/`."""
    folder = tmp_path_factory.mktemp("versions")
    for name in ("sharp", "blurred"):
        (folder / name).mkdir()
    for path in sorted(data_folder("photos").glob("*.jpg"))[:10]:
        photograph = Image.open(path).convert("RGB")
        photograph.thumbnail((256, 256))
        photograph.save(folder / "sharp" / f"{path.stem}.png")
        blurred(photograph, 1.5).save(folder / "blurred" / f"{path.stem}.jpg", quality=95)
    return folder


def test_rank_writes_page_picture_and_tables(perceptmetrics: Command, gallery: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    shutil.copytree(gallery, pictures)
    shutil.copy(pictures / "coffee.png", pictures / "<b>$x$.png")
    result = perceptmetrics("rank", pictures, "--top", "2", "-o", tmp_path / "out")
    assert result.returncode == 1, result.stderr  # two images are broken
    assert "broken.png is truncated" in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "rank.csv",
        "rank.html",
        "rank.json",
        "rank.png",
    ]
    rows = read_rows(tmp_path / "out" / "rank.csv")
    assert len(rows) == 7
    scores = [float(row["lite_iqa"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    metric = create_metric("lite_iqa")
    assert scores[0] == pytest.approx(metric.score(rows[0]["image"]).item(), abs=2e-6)
    page = (tmp_path / "out" / "rank.html").read_text()
    assert page.count("<img ") == 4
    assert "<b>" not in page
    assert len(json.loads((tmp_path / "out" / "rank.json").read_text())["failed"]) == 2
    with Image.open(tmp_path / "out" / "rank.png") as picture:
        assert picture.width > 600


def test_compare_prefers_sharp_photographs(perceptmetrics: Command, versions: Path, tmp_path: Path) -> None:
    shutil.copytree(versions, tmp_path / "v")
    shutil.copy(next((tmp_path / "v" / "sharp").iterdir()), tmp_path / "v" / "sharp" / "alone.png")
    folders = (tmp_path / "v" / "sharp", tmp_path / "v" / "blurred")
    result = perceptmetrics("compare", *folders, "-o", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert summary["pairs"] == 10
    assert summary["win_rate_a"] >= 0.9
    assert summary["mean_difference_interval_95"][0] > 0.1
    assert summary["sign_test_p"] < 0.03
    assert "Only in A: 1" in result.stderr
    assert "alone.png" in result.stderr
    assert len(read_rows(tmp_path / "out" / "compare.csv")) == 10
    assert (tmp_path / "out" / "compare.svg").read_bytes().startswith(b"<?xml")


def test_correlate_scores_with_the_complexity_of_scenes(perceptmetrics: Command, tmp_path: Path) -> None:
    scenes = data_folder("savoias_scenes")
    lines = (scenes / "labels.csv").read_text().splitlines()[:21]
    (tmp_path / "labels.csv").write_text("\n".join([*lines, "missing.jpg,50"]) + "\n")
    output = tmp_path / "out"
    result = perceptmetrics("correlate", tmp_path / "labels.csv", "--images", scenes / "images", "-o", output)
    assert result.returncode == 1, result.stderr
    assert "missing.jpg" in result.stderr
    (row,) = json.loads((output / "correlate.json").read_text())["correlations"]
    assert (row["rating"], row["score"], row["n"]) == ("complexity", "lite_iqa", 20)
    assert row["srcc_interval_95"][0] < row["srcc"] < row["srcc_interval_95"][1]
    assert abs(row["plcc_after_logistic_fit"]) >= abs(row["plcc"]) - 0.02
    points = {Path(point["image"]).name: float(point["rating_value"]) for point in read_rows(output / "correlate.csv")}
    assert points == {name: float(number) for name, number in (line.split(",") for line in lines[1:])}


def test_compare_with_exchanged_folders_gives_the_opposite(versions: Path, tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    result = run("compare", versions / "blurred", versions / "sharp", "-o", output)
    assert result.exit_code == 0, result.output
    assert json.loads(output.read_text())["win_rate_a"] <= 0.1
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_three_folders_are_compared_on_one_page(versions: Path, tmp_path: Path) -> None:
    shutil.copytree(versions, tmp_path / "v")
    shutil.copytree(versions / "blurred", tmp_path / "v" / "again")
    folders = [tmp_path / "v" / name for name in ("blurred", "sharp", "again")]
    result = run("compare", *folders, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "sharp is preferred most often" in " ".join(result.output.split())
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"compare.{suffix}" for suffix in ("csv", "html", "json", "png", "svg")]
    summary = json.loads((tmp_path / "out" / "compare.json").read_text())
    ties = {(Path(pair["first"]).name, Path(pair["second"]).name): pair["ties"] for pair in summary["pairs"]}
    assert ties["blurred", "again"] == 10
    assert run("compare", folders[0]).exit_code == 2


def test_ladder_follows_blur_and_noise(versions: Path, tmp_path: Path) -> None:
    photograph = sorted((versions / "sharp").iterdir())[0]
    arguments = ("-a", "sharpness", "-a", "noise", "--steps", "5", "-o", tmp_path)
    result = run("ladder", photograph, *arguments)
    assert result.exit_code == 0, result.output
    sharpness, noise = json.loads((tmp_path / "ladder.json").read_text())["ladders"]
    assert sharpness["mean_srcc"] >= 0.9
    assert noise["mean_srcc"] <= -0.9
    assert len(read_rows(tmp_path / "ladder.csv")) == 2 * 5
    with Image.open(photograph) as picture:
        expected = create_metric("lite_iqa").score(noisy(picture, 30.0)).item()
    assert float(read_rows(tmp_path / "ladder.csv")[7]["score"]) == pytest.approx(expected, abs=2e-6)


def test_a_study_from_pairs_to_agreement(perceptmetrics: Command, versions: Path, tmp_path: Path) -> None:
    result = run("study", "make", versions, "--pairs", "12", "-o", tmp_path / "study")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "study").iterdir()) == ["pairs.csv", "study.html"]
    study = read_pairs(tmp_path / "study" / "pairs.csv")
    assert study.identity in (tmp_path / "study" / "study.html").read_text()
    lines = ["study,participant,pair,choice,seconds"]
    other = {"left": "right", "right": "left", "same": "same"}
    for pair in study.pairs:
        choice = pair.metric_choice if pair.pair <= 9 else other[pair.metric_choice]
        lines.append(f'{study.identity},"Ann ""A""",{pair.pair},{choice},1.2')
    (tmp_path / "choices.csv").write_text("\n".join(lines) + "\n")
    arguments = (tmp_path / "study" / "pairs.csv", tmp_path / "choices.csv", "-o", tmp_path / "a.json")
    scored = perceptmetrics("study", "score", *arguments)
    assert scored.returncode == 0, scored.stderr
    overall = json.loads((tmp_path / "a.json").read_text())["agreement"][0]
    assert (overall["agreed"], overall["count"]) == (9, 12)
    assert overall["interval_95"] == pytest.approx([0.4281415, 0.9451394], abs=1e-6)  # R: binom.test(9, 12)
    again = run("study", "make", versions, "-o", tmp_path / "study")
    assert "Choose another folder" in str(again.exception)


def test_attributes_of_several_metrics_with_one_score_each(gallery: Path, tmp_path: Path) -> None:
    exported = tmp_path / "exported"
    exported.mkdir()
    spec = replace(metric_info("lite_iqa"), name="other_iqa")
    (exported / "spec.json").write_text(spec_to_json(spec))
    shutil.copy(Path(lite.__file__).parent / "lite_iqa" / "model.safetensors", exported)
    images = (gallery / "chelsea.png", gallery / "coffee.png")
    result = run("attributes", *images, "-m", "lite_iqa", "-m", exported, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "other_iqa" in result.output
    for row in read_rows(tmp_path / "out" / "attributes.csv"):
        assert row["lite_iqa"] == row["other_iqa"]


def test_attributes_without_a_metric_are_the_offline_ones(gallery: Path, tmp_path: Path) -> None:
    result = run("attributes", gallery / "chelsea.png", gallery / "coffee.png", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("lite_attributes:\n")
    (row, _) = read_rows(tmp_path / "out" / "attributes.csv")
    expected = create_metric("lite_attributes").score(gallery / "chelsea.png")[0].tolist()
    assert list(row)[1:] == list(metric_info("lite_attributes").score.labels)
    assert [float(value) for value in list(row.values())[1:]] == pytest.approx(expected, abs=2e-6)
    assert (tmp_path / "out" / "attributes.png").stat().st_size > 0


def test_a_metric_with_labels_climbs_the_ladders_that_it_has_labels_for(tmp_path: Path) -> None:
    options = ("-m", "lite_attributes", "--steps", "3")
    sample_photographs()["chelsea"].save(tmp_path / "chelsea.png")
    result = run("ladder", tmp_path / "chelsea.png", *options, "-o", tmp_path / "ladder.json")
    assert result.exit_code == 0, result.output
    ladders = json.loads((tmp_path / "ladder.json").read_text())["ladders"]
    assert [one["attribute"] for one in ladders] == ["noise", "colour", "contrast", "sharpness"]
    assert [one["mean_srcc"] for one in ladders] == [-1, 1, 1, 1]
    refused = run("ladder", tmp_path / "chelsea.png", *options, "-a", "brightness")
    assert "has no label for brightness" in str(refused.exception)


@pytest.fixture
def tiny_clip(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """CLIP becomes a tiny random one; what `create_metric` was asked for is recorded."""
    import perceptmetrics.apps.cli.metrics as module

    asked: list[dict[str, Any]] = []

    def create(name: str, **options: Any) -> Any:
        asked.append({"name": name, **options})
        given = {key: value for key, value in options.items() if key == "prompts"}
        return build(name, **given)

    monkeypatch.setattr(module, "create_metric", create)
    return asked


def test_attributes_of_clipiqa_are_the_prompts(gallery: Path, tmp_path: Path, tiny_clip: list[dict[str, Any]]) -> None:
    output = tmp_path / "radar.svg"
    arguments = ["attributes", str(gallery / "chelsea.png"), "-m", "clipiqa", "-o", str(output)]
    prompts = ["--prompts", "quality,brightness, Cosy photo.|Cold photo.", "--backbone-checkpoint", "clip.pt"]
    result = run(*arguments, *prompts)
    assert result.exit_code == 0, result.output
    assert tiny_clip[0]["prompts"] == ["quality", "brightness", ("Cosy photo.", "Cold photo.")]
    assert tiny_clip[0]["backbone_checkpoint"] == Path("clip.pt")
    assert "user_defined_0" in result.output
    assert b"<svg" in output.read_bytes()
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert tiny_clip[1]["prompts"][:2] == ["quality", "brightness"]


def test_a_ladder_asks_clipiqa_about_the_attribute_that_changes(
    gallery: Path, tmp_path: Path, tiny_clip: list[dict[str, Any]]
) -> None:
    arguments = ["ladder", str(gallery / "chelsea.png"), "-m", "clipiqa", "-a", "noise", "-a", "colour", "--steps", "3"]
    result = run(*arguments, "-o", tmp_path / "l.json")
    assert result.exit_code == 0, result.output
    ladders = json.loads((tmp_path / "l.json").read_text())["ladders"]
    assert [ladder["score"] for ladder in ladders] == ["clipiqa.noisiness", "clipiqa.colorfulness"]


def test_rows_of_the_paper_are_options_of_every_command_that_takes_metrics() -> None:
    """CLIP-IQA, Table 2: prompts, templates, encoders and positional embeddings, on images and on a data set."""
    from perceptmetrics.apps.cli.app import app as commands

    flags = ("--prompts", "--prompt", "--template", "--backbone", "--positional-embedding", "--resize")
    for name in ("score", "benchmark", "rank", "compare", "correlate", "ladder", "attributes"):
        known = {flag for option in get_command(commands).commands[name].params for flag in option.opts}
        assert known.issuperset(flags), name


def test_options_reach_the_metrics_that_take_them(gallery: Path, tiny_clip: list[dict[str, Any]]) -> None:
    own = ["--template", "A {} image.", "--backbone", "ViT-B-32", "--positional-embedding", "keep"]
    result = run("attributes", gallery / "chelsea.png", "-m", "clipiqa", "-m", "lite_iqa", "-m", "clipiqa+", *own)
    assert result.exit_code == 0, result.output
    given = {
        asked["name"]: {key for key in asked if key in ("template", "backbone", "positional_embedding")}
        for asked in tiny_clip
    }
    assert given == {"clipiqa": {"template", "backbone", "positional_embedding"}, "lite_iqa": set(), "clipiqa+": set()}
    (asked,) = (asked for asked in tiny_clip if asked["name"] == "clipiqa")
    assert (asked["template"], asked["backbone"]) == ("A {} image.", "ViT-B-32")
    tiny_clip.clear()
    result = run(
        "attributes", gallery / "chelsea.png", "-m", "clipiqa", "-m", "clip_uiqa", "-m", "clipiqa+", "--resize", "64"
    )
    assert {asked["name"]: asked.get("resize") for asked in tiny_clip} == {
        "clipiqa": "64",
        "clip_uiqa": None,
        "clipiqa+": "64",
    }
    result = run("score", gallery / "chelsea.png", "-m", "clip_uiqa", "-m", "perceptclip_iqa", "--resize", "64")
    assert "--resize: none of clip_uiqa, perceptclip_iqa shows an image whole" in str(result.exception or result.output)
    result = run("score", gallery / "chelsea.png", "-m", "lite_iqa", "-m", "perceptclip_iqa", "--prompt", "A dog.")
    assert "none of lite_iqa, perceptclip_iqa takes prompts" in str(result.exception or result.output)


def test_learned_prompts_are_left_alone(gallery: Path, tmp_path: Path, tiny_clip: list[dict[str, Any]]) -> None:
    result = run("ladder", gallery / "chelsea.png", "-m", "clipiqa+", "-a", "noise", "--steps", "3")
    assert result.exit_code == 0, result.output
    assert "prompts" not in tiny_clip[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["attributes", "x.png", "-m", "lite_iqa"], "Use a metric with several labels"),
        (["attributes", "x.png", "--prompts", "quality"], "'lite_attributes' has no option 'prompts'"),
        (["rank", "x.png", "-o", "x.gif"], "ends in .html, .png"),
        (["rank", "nothing*.png"], "No file matches"),
        (["rank", "missing.png"], "None of 1 images could be scored"),
        (["rank", "x.png", "-m", "lite"], "Did you mean 'lite_iqa'"),
        (["rank", "x.png", "--prompts", "quality"], "has no option 'prompts'"),
        (["rank", "x.png", "--label", "joy"], "has a single score"),
        (["attributes", "x.png", "-m", "lite_iqa", "-m", "clipiqa", "--checkpoint", "a"], "goes with a single metric"),
        (["compare", "x.png", "y"], "Expected a folder of images"),
        (["ladder", "x.png", "-a", "warmth"], "No attribute is named 'warmth'"),
        (["correlate", "none.csv"], "does not exist"),
        (["study", "score", "none.csv", "c.csv"], "none.csv does not exist"),
    ],
)
def test_bad_requests_say_what_to_do(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, PerceptMetricsError)
    assert message in str(result.exception)


def test_an_error_is_one_line_and_status_two(perceptmetrics: Command, tmp_path: Path) -> None:
    result = perceptmetrics("attributes", tmp_path / "x.png", "-m", "lite_iqa")
    assert result.returncode == 2
    assert result.stderr.startswith("Error: Expected two or more scores")
    assert "Traceback" not in result.stderr


def test_help_of_the_experiments_imports_nothing_heavy() -> None:
    import subprocess
    import sys

    program = (
        "import sys; from perceptmetrics.apps.cli.app import app; "
        "app(['study', 'make', '--help'], standalone_mode=False); "
        "sys.exit(', '.join({'torch', 'numpy', 'matplotlib', 'jinja2', 'PIL'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stderr.strip() == ""
    assert "--pairs" in result.stdout
