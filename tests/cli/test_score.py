"""`perceptmetrics score` on real images; in a process of its own where that matters."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perceptmetrics import create_metric
from perceptmetrics.metrics import lite
from perceptmetrics.weights.tensor_files import read_metadata, read_tensors, save_tensors
from tests.cli.in_process import Command

BUILT_IN_WEIGHTS = Path(lite.__file__).parent / "lite_iqa" / "model.safetensors"


def read_csv(text: str) -> dict[str, dict[str, str]]:
    return {row["image"]: row for row in csv.DictReader(io.StringIO(text))}


def test_samples_fall_when_degraded(perceptmetrics: Command) -> None:
    result = perceptmetrics("score", "--samples")
    assert result.returncode == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()[2:]]
    assert len(rows) == 5
    for _name, original, *degraded in rows:
        assert all(float(score) < float(original) for score in degraded)


def test_folder_reports_broken_images_and_scores_the_others(perceptmetrics: Command, gallery: Path) -> None:
    result = perceptmetrics("score", gallery, "--format", "csv")
    assert result.returncode == 1
    rows = read_csv(result.stdout)
    assert list(rows) == sorted(rows, key=lambda name: (os.path.dirname(name), name))
    assert len(rows) == 8
    failed = {Path(name).name: row["error"] for name, row in rows.items() if row["error"]}
    assert set(failed) == {"broken.png", "text.jpg"}
    assert "truncated" in failed["broken.png"]
    assert "6 scored, 2 failed" in result.stderr
    metric = create_metric("lite_iqa")
    for name, row in rows.items():
        if not row["error"]:
            assert float(row["lite_iqa"]) == pytest.approx(metric.score(name).item(), abs=2e-6)


def test_intervals_are_columns_of_csv_json_and_table(perceptmetrics: Command, gallery: Path, tmp_path: Path) -> None:
    shutil.copytree(BUILT_IN_WEIGHTS.parent, tmp_path / "mine")
    spec = json.loads((tmp_path / "mine" / "spec.json").read_text())
    interval = {"coverage": 0.9, "half_widths": [0.3], "images": 50}
    (tmp_path / "mine" / "spec.json").write_text(json.dumps(spec | {"name": "mine", "interval": interval}))
    image = next(gallery.rglob("*.png"))
    words = ("score", image, "-m", tmp_path / "mine", "--interval")
    (row,) = read_csv(perceptmetrics(*words, "--format", "csv").stdout).values()
    score = create_metric("lite_iqa").score(image).item()
    expected = {"mine": score, "mine_lower": max(score - 0.3, 0), "mine_upper": min(score + 0.3, 1)}
    assert {name: float(row[name]) for name in expected} == pytest.approx(expected, abs=2e-6)
    assert json.loads(perceptmetrics(*words, "--format", "jsonl").stdout) == pytest.approx(
        {"image": str(image), **expected}, abs=2e-6
    )
    table = perceptmetrics(*words).stdout
    assert "lower" in table
    assert f"{expected['mine_upper']:.4f}" in table
    done = (*words, "--output", tmp_path / "scores.csv")
    assert [perceptmetrics(*done).returncode, perceptmetrics(*done, "--resume").returncode] == [0, 0]
    (row,) = read_csv((tmp_path / "scores.csv").read_text()).values()
    assert float(row["mine_lower"]) == pytest.approx(expected["mine_lower"], abs=2e-6)
    refused = perceptmetrics("score", image, "--interval")
    assert refused.returncode == 2
    assert "'lite_iqa' has no intervals" in refused.stderr


def test_not_recursive(perceptmetrics: Command, gallery: Path) -> None:
    result = perceptmetrics("score", gallery, "--no-recursive", "--format", "jsonl")
    names = [json.loads(line)["image"] for line in result.stdout.splitlines()]
    assert len(names) == 5
    assert not any("inner" in name for name in names)


def test_table_on_screen(perceptmetrics: Command, gallery: Path) -> None:
    result = perceptmetrics("score", gallery / "chelsea.png", gallery / "inner" / "chelsea [blurred].JPG")
    assert result.returncode == 0
    assert "chelsea [blurred].JPG" in result.stdout
    assert "higher is better" in result.stdout
    assert "mean of 2" in result.stdout


def test_fail_fast_stops_at_the_first_unreadable_image(perceptmetrics: Command, gallery: Path) -> None:
    result = perceptmetrics("score", gallery, "--fail-fast", "--format", "csv")
    assert result.returncode == 1
    assert [Path(name).name for name in read_csv(result.stdout)] == ["astronaut.png", "broken.png"]


def test_output_is_written_whole_and_resumed(perceptmetrics: Command, gallery: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "scores.csv"
    pictures = tmp_path / "pictures"
    shutil.copytree(gallery, pictures)
    assert perceptmetrics("score", pictures, "-o", output).returncode == 1
    first = output.read_text()
    assert sorted(os.listdir(output.parent)) == ["scores.csv"]
    # What is scored already is not touched again: its file may even be gone by name only.
    shutil.copy(pictures / "coffee.png", pictures / "broken.png")
    (pictures / "text.jpg").unlink()
    assert perceptmetrics("score", pictures, "-o", output, "--resume").returncode == 0
    before, after = read_csv(first), read_csv(output.read_text())
    assert set(after) == set(before) - {str(pictures / "text.jpg")}
    mended = after.pop(str(pictures / "broken.png"))
    assert float(mended["lite_iqa"]) > 0
    assert all(before[name] == row for name, row in after.items())
    # Another folder is added; nothing is lost.
    shutil.copytree(pictures / "inner", tmp_path / "more")
    assert perceptmetrics("score", tmp_path / "more", "-o", output, "--resume").returncode == 0
    added = read_csv(output.read_text())
    assert len(added) == len(after) + 1 + 3
    assert all(added[name] == row for name, row in after.items())


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("others", [False, True], ids=["same images", "other images"])
def test_scores_of_other_weights_are_not_added_to_a_file(
    perceptmetrics: Command, gallery: Path, tmp_path: Path, form: str, others: bool
) -> None:
    output, checkpoint = tmp_path / f"scores.{form}", tmp_path / "other.safetensors"
    tensors = read_tensors(BUILT_IN_WEIGHTS)
    tensors[sorted(tensors)[-1]] *= 1.5
    save_tensors(tensors, checkpoint, read_metadata(BUILT_IN_WEIGHTS))
    inner, more = gallery / "inner", gallery / ("coffee.png" if others else "inner")
    perceptmetrics("score", inner, "-o", output)
    before = output.read_bytes()
    result = perceptmetrics("score", more, "-o", output, "--checkpoint", checkpoint, "--resume")
    assert result.returncode == 2
    assert "write to another file" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {output.name, checkpoint.name}
    assert output.read_bytes() == before
    assert perceptmetrics("score", more, "-o", output, "--resume").returncode == 0


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_stopped_run_resumes_to_the_same_file(
    perceptmetrics: Command, gallery: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(150):
        os.link(gallery / "chelsea.png", pictures / f"{number:03d}.png")
    whole, resumed = tmp_path / "whole.csv", tmp_path / "resumed.csv"
    assert perceptmetrics("score", pictures, "-o", whole).returncode == 0
    journal = stop_in_the_middle(pictures, resumed, sent)
    assert not resumed.exists()
    scored = len(journal.read_text().splitlines()) - 1
    assert 0 < scored < 150
    refused = perceptmetrics("score", pictures, "-o", resumed)
    assert refused.returncode == 2
    assert "--resume" in refused.stderr
    with journal.open("a") as stream:
        stream.write('{"name": "torn')  # what a crash in the middle of a write would leave
    assert perceptmetrics("score", pictures, "-o", resumed, "--resume").returncode == 0
    assert resumed.read_text() == whole.read_text()
    assert not journal.exists()


def stop_in_the_middle(pictures: Path, output: Path, sent: signal.Signals) -> Path:
    journal = output.with_name(output.name + ".partial")
    # Where tests run in the background, interrupts are ignored and programs inherit that; a user's terminal does not.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from perceptmetrics.apps.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "score", pictures, "-o", output]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (journal.exists() and journal.read_text().count("\n") > 10):
        time.sleep(0.005)
    process.send_signal(sent)
    said = process.communicate()[1].decode()
    if sent == signal.SIGINT:
        assert process.returncode == 130
        assert "Continue with --resume" in said
        assert "Traceback" not in said
    return journal


def test_resume_with_other_metrics_is_refused(perceptmetrics: Command, gallery: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores.csv"
    output.write_text("image,clipiqa,error\nx.png,0.500000,\n")
    result = perceptmetrics("score", gallery / "chelsea.png", "-o", output, "--resume")
    assert result.returncode == 2
    assert "has the columns ['clipiqa']" in result.stderr
    assert output.read_text().startswith("image,clipiqa")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--samples"),
        (["missing.png"], "missing.png does not exist"),
        (["*.nothing"], "No file matches"),
        (["x.png", "-o", "scores.xlsx"], "CSV, JSON Lines or Parquet"),
        (["x.png", "--resume"], "name it with --output"),
        (["--samples", "-o", "scores.csv"], "go with images of your own"),
        (["x.png", "--device", "warp"], "cannot be put on the device 'warp'"),
        (["x.png", "-o", "/proc/scores.csv"], "No such file or directory"),
        (["--samples", "-m", "lite_iqua"], "Did you mean 'lite_iqa'"),
        (["--samples", "--checkpoint", "nowhere.pth"], "Nothing was downloaded"),
    ],
)
def test_bad_requests_say_what_to_do(perceptmetrics: Command, arguments: list[str], message: str) -> None:
    result = perceptmetrics("score", *arguments)
    assert result.returncode in (1, 2)
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_reader_that_has_seen_enough_is_no_error(gallery: Path) -> None:
    command = (
        f"{sys.executable} -c 'from perceptmetrics.apps.cli import main; main()' score {gallery} --format csv | head -1"
    )
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.stdout == "image,lite_iqa,error\n"
    assert "Traceback" not in result.stderr
    assert "BrokenPipe" not in result.stderr


def test_hostile_file_names_are_spelled_out(perceptmetrics: Command, gallery: Path, tmp_path: Path) -> None:
    names = ["back\\[slash.png", "c\\[red]d.png", "\x1b]0;title\x07.png", "new\nline.png", "-m.png", "[bold].png"]
    for name in names:
        shutil.copy(gallery / "chelsea.png", tmp_path / name)
    (tmp_path / "broken [red].png").write_text("no image")
    result = perceptmetrics("score", tmp_path)
    assert result.returncode == 1, result.stderr
    assert "\x1b" not in result.stdout + result.stderr
    for shown in ("back\\[slash.png", "c\\[red]d.png", "\\x1b]0;title\\x07.png", "new\\nline.png", "[bold].png"):
        assert shown in result.stdout.replace("\n", "")
    assert "broken [red].png is not an image" in result.stderr
