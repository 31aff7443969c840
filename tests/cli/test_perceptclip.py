"""`score`, `list` and `info` of the PerceptCLIP metrics."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from perceptmetrics import create_metric
from perceptmetrics.metrics.perceptclip import EMOTIONS
from perceptmetrics.weights.cache import CACHE_VARIABLE
from tests.cli.in_process import Command
from tests.support import released_files
from tests.support.released_files import NAMES, write_released

IQA, MEM, EMO = NAMES


@pytest.fixture(scope="module", autouse=True)
def tiny_metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, released_files.registered(tmp_path_factory.mktemp("configurations")):
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three released files, tiny, in a folder whose name has an equals sign."""
    folder = tmp_path_factory.mktemp("weights=released")
    return {name: write_released(folder / f"{name}.pth", name) for name in NAMES}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def options(files: dict[str, Path]) -> list[str]:
    """All three metrics, each with its file."""
    return [word for name, path in files.items() for word in ("-m", name, "--checkpoint", f"{name}={path}")]


def test_a_photograph_has_quality_memorability_and_an_emotion(
    run: Command, gallery: Path, files: dict[str, Path]
) -> None:
    photo = gallery / "chelsea.png"
    result = run("score", photo, *options(files))
    assert result.returncode == 0, result.stderr
    for heading in (*NAMES, "~0 to ~1, higher is better", "(most probable)"):
        assert heading in result.stdout
    quality, memorability, emotions = (create_metric(name, checkpoint=files[name]).score(photo)[0] for name in NAMES)
    [row] = [line for line in result.stdout.splitlines() if "chelsea.png" in line]
    best = int(emotions.argmax())
    expected = f"{quality:.4f} {memorability:.4f} {EMOTIONS[best]} {emotions[best]:.1%}"
    assert row.split()[-4:] == expected.split()


def test_the_mean_of_several_photographs_names_the_emotion_of_the_mean(
    run: Command, gallery: Path, files: dict[str, Path]
) -> None:
    photos = [gallery / "chelsea.png", gallery / "coffee.png"]
    result = run("score", *photos, "-m", EMO, "--checkpoint", files[EMO])
    mean = create_metric(EMO, checkpoint=files[EMO]).score(photos).mean(dim=0)
    [row] = [line for line in result.stdout.splitlines() if "mean of 2" in line]
    assert row.split()[-2:] == [EMOTIONS[int(mean.argmax())], f"{mean.max():.1%}"]


def test_a_file_of_scores_has_all_emotions(run: Command, gallery: Path, files: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "scores.csv"
    photos = [gallery / "chelsea.png", gallery / "coffee.png"]
    assert run("score", *photos, *options(files), "-o", output).returncode == 0
    rows = list(csv.DictReader(io.StringIO(output.read_text())))
    columns = [IQA, MEM, *(f"{EMO}.{label}" for label in EMOTIONS)]
    assert list(rows[0]) == ["image", *columns, "error"]
    expected = torch.cat(
        [create_metric(name, checkpoint=files[name]).score(photos).reshape(2, -1) for name in NAMES], dim=1
    )
    for row, scores in zip(rows, expected.tolist(), strict=True):
        assert [float(row[column]) for column in columns] == pytest.approx(scores, abs=2e-6)
    assert sum(float(rows[0][f"{EMO}.{label}"]) for label in EMOTIONS) == pytest.approx(1, abs=1e-5)


def test_json_lines_have_all_emotions(run: Command, gallery: Path, files: dict[str, Path]) -> None:
    result = run("score", gallery / "chelsea.png", *options(files), "--format", "jsonl")
    record = json.loads(result.stdout)
    assert list(record) == ["image", IQA, MEM, *(f"{EMO}.{label}" for label in EMOTIONS)]


def test_samples_have_a_table_for_each_emotion(run: Command, files: dict[str, Path]) -> None:
    result = run("score", "--samples", "-m", EMO, "--checkpoint", files[EMO])
    assert result.returncode == 0, result.stderr
    said = " ".join(result.stdout.split())
    assert all(f"{EMO}.{label} (0 to 1, higher is better)" in said for label in EMOTIONS)


def test_int8_changes_scores_a_little(run: Command, gallery: Path, files: dict[str, Path]) -> None:
    words = ["score", gallery / "chelsea.png", "-m", MEM, "--checkpoint", files[MEM], "--format", "jsonl"]
    plain, quantised = (json.loads(run(*words, *more).stdout)[MEM] for more in ([], ["--precision", "int8"]))
    assert plain != quantised
    assert plain == pytest.approx(quantised, abs=0.1)


# Which file belongs to which metric


@pytest.mark.parametrize("form", ["{path}", f"{MEM}={{path}}"])
def test_a_single_metric_needs_no_name_before_its_file(
    run: Command, gallery: Path, files: dict[str, Path], form: str
) -> None:
    """The path holds an equals sign itself."""
    result = run("score", gallery / "chelsea.png", "-m", MEM, "--checkpoint", form.format(path=files[MEM]))
    assert result.returncode == 0, result.stderr


def test_several_metrics_need_names_before_their_files(run: Command, gallery: Path, files: dict[str, Path]) -> None:
    result = run("score", gallery / "chelsea.png", "-m", IQA, "-m", MEM, "--checkpoint", files[MEM])
    assert result.returncode == 2
    assert "does not say which metric it is for" in result.stderr
    assert f"METRIC=PATH, with one of {IQA}, {MEM}." in result.stderr
    assert str(files[MEM]) in result.stderr


def test_a_file_for_a_metric_that_is_not_asked_for_is_refused(
    run: Command, gallery: Path, files: dict[str, Path]
) -> None:
    result = run("score", gallery / "chelsea.png", "-m", IQA, "-m", MEM, "--checkpoint", f"{EMO}={files[EMO]}")
    assert result.returncode == 2
    assert "does not say which metric" in result.stderr


def test_two_files_for_a_metric_are_refused(run: Command, gallery: Path, files: dict[str, Path]) -> None:
    given = ["--checkpoint", f"{MEM}={files[MEM]}"]
    result = run("score", gallery / "chelsea.png", "-m", MEM, *given, *given)
    assert result.returncode == 2
    assert f"--checkpoint is given twice for {MEM}" in result.stderr


def test_another_metrics_file_is_refused(run: Command, gallery: Path, files: dict[str, Path]) -> None:
    result = run("score", gallery / "chelsea.png", "-m", EMO, "--checkpoint", files[MEM])
    assert result.returncode == 2
    assert "(1, 256), expected (8, 256)" in result.stderr
    assert "Traceback" not in result.stderr


# What there is


def test_list_shows_the_three_with_their_ranges(run: Command) -> None:
    result = run("list", "perceptclip*")
    rows = {line.split()[0]: line for line in result.stdout.splitlines()[1:] if not line.startswith(" ")}
    assert set(rows) == set(NAMES)
    assert [rows[name].split()[1] for name in NAMES] == ["quality", "memorability", "emotion"]
    assert all("~0 to ~1" in rows[name] for name in (IQA, MEM))
    assert "~" not in rows[EMO]
    assert all("1227.4 MB" in row for row in rows.values())


@pytest.mark.parametrize("name", NAMES)
def test_info_shows_range_labels_and_limits(run: Command, name: str) -> None:
    result = run("info", name)
    assert result.returncode == 0
    assert ("0 to 1" if name == EMO else "~0 to ~1") + ", higher is better" in result.stdout
    for expected in ("arxiv.org/abs/2503.13260", "huggingface.co/PerceptCLIP/", f"perceptmetrics fetch {name}"):
        assert expected in result.stdout
    assert all(label in result.stdout for label in EMOTIONS) is (name == EMO)
