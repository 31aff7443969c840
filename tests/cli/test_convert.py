"""`perceptmetrics convert`: what it writes scores the same, and it never writes half of it or over something."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from perceptmetrics import create_metric
from perceptmetrics.factory.folder import largest_deviation
from perceptmetrics.weights.cache import CACHE_VARIABLE
from tests.cli.in_process import Command
from tests.support import released_files
from tests.support.photographs import photographs
from tests.support.released_files import NAMES, write_released

IQA, MEM, EMO = NAMES
FILES = ["config.json", "golden.safetensors", "model.safetensors", "spec.json"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module", autouse=True)
def tiny_metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with released_files.registered(tmp_path_factory.mktemp("configurations")):
        yield


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return photographs(230, 260)[:2]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A released file under its published name."""
    return write_released(tmp_path / "perceptCLIP_Memorability.pth", MEM)


def tensors_in(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "filename"),
    [(IQA, "perceptCLIP_IQA.pth"), (MEM, "perceptCLIP_Memorability.pth"), (EMO, "perceptCLIP_Emotions.pth")],
)
@pytest.mark.parametrize("form", ["slim", "merged"])
def test_a_released_file_says_by_its_name_what_it_is(
    run: Command, tmp_path: Path, images: torch.Tensor, name: str, filename: str, form: str
) -> None:
    source, folder = write_released(tmp_path / filename, name), tmp_path / "out" / form
    result = run("convert", source, folder, "--format", form)
    assert result.returncode == 0, result.stderr
    assert sorted(os.listdir(folder)) == FILES
    assert sorted(os.listdir(folder.parent)) == [form]
    lines = result.stdout.splitlines()
    assert [Path(line.split("  ")[0]).name for line in lines[:4]] == FILES
    assert lines[4].startswith(f"{name}, {form}: its scores differ from the source's by at most ")
    expected = create_metric(name, checkpoint=source)(images)
    for metric in (create_metric(folder), create_metric(name, checkpoint=folder)):
        torch.testing.assert_close(metric(images), expected, atol=1e-6, rtol=0)
        assert metric.metric_name == name


def test_slim_holds_adapters_and_head_alone(run: Command, tmp_path: Path, released: Path) -> None:
    run("convert", released, tmp_path / "slim")
    parts = {name.partition(".")[0] for name in tensors_in(tmp_path / "slim")}
    assert parts == {"head", "lora"}


def test_merged_needs_nothing_else(
    run: Command, tmp_path: Path, released: Path, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("convert", released, tmp_path / "merged", "--format", "merged")
    assert {name.partition(".")[0] for name in tensors_in(tmp_path / "merged")} == {"head", "encoder"}
    expected = create_metric(MEM, checkpoint=released)(images)
    released.unlink()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "empty"))
    metric = create_metric(tmp_path / "merged", local_files_only=True, cache_dir=tmp_path / "hub")
    torch.testing.assert_close(metric(images), expected, atol=1e-6, rtol=0)


def test_half_stores_the_encoder_in_half_the_bytes(
    run: Command, tmp_path: Path, released: Path, images: torch.Tensor
) -> None:
    result = run("convert", released, tmp_path / "half", "--format", "merged", "--half")
    assert result.returncode == 0, result.stderr
    types = {name.partition(".")[0]: tensor.dtype for name, tensor in tensors_in(tmp_path / "half").items()}
    assert types == {"head": torch.float32, "encoder": torch.float16}
    metric = create_metric(tmp_path / "half")
    assert {parameter.dtype for parameter in metric.parameters()} == {torch.float32}
    expected = create_metric(MEM, checkpoint=released)(images)
    torch.testing.assert_close(metric(images), expected, atol=1e-2, rtol=0)
    assert not torch.equal(metric(images), expected)


def test_slim_can_be_merged_later(run: Command, tmp_path: Path, released: Path, images: torch.Tensor) -> None:
    run("convert", released, tmp_path / "slim")
    result = run("convert", tmp_path / "slim", tmp_path / "merged", "--format", "merged")
    assert result.returncode == 0, result.stderr
    expected = create_metric(MEM, checkpoint=released)(images)
    torch.testing.assert_close(create_metric(tmp_path / "merged")(images), expected, atol=1e-6, rtol=0)


# Refusals


def test_what_exists_is_replaced_only_when_asked(run: Command, tmp_path: Path, released: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "spec.json").write_text("an earlier one")
    result = run("convert", released, folder)
    assert result.returncode == 2
    assert f"{folder} already exists" in result.stderr
    assert os.listdir(folder) == ["spec.json"]
    assert run("convert", released, folder, "--overwrite").returncode == 0
    assert sorted(os.listdir(folder)) == FILES


def test_what_is_no_exported_metric_is_never_replaced(run: Command, tmp_path: Path, released: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    result = run("convert", released, folder, "--overwrite")
    assert result.returncode == 2
    assert "contains more than an exported metric (mine.txt)" in result.stderr
    assert os.listdir(folder) == ["mine.txt"]


def test_a_metric_is_not_converted_over_itself(run: Command, tmp_path: Path, released: Path) -> None:
    folder = tmp_path / "out"
    assert run("convert", released, folder).returncode == 0
    before = (folder / "model.safetensors").read_bytes()
    for source in (folder, folder / "model.safetensors"):
        result = run("convert", source, folder, "--overwrite", "--format", "merged", "--metric", MEM)
        assert result.returncode == 2
        assert "contains the source" in result.stderr
    assert (folder / "model.safetensors").read_bytes() == before


def test_an_empty_folder_is_filled(run: Command, tmp_path: Path, released: Path) -> None:
    (tmp_path / "out").mkdir()
    assert run("convert", released, tmp_path / "out").returncode == 0


def test_a_file_in_the_way_is_refused(run: Command, tmp_path: Path, released: Path) -> None:
    (tmp_path / "out").write_text("mine")
    result = run("convert", released, tmp_path / "out")
    assert result.returncode == 2
    assert "is a file; expected a folder" in result.stderr
    assert (tmp_path / "out").read_text() == "mine"


def test_an_unknown_file_name_asks_for_the_metric(run: Command, tmp_path: Path, released: Path) -> None:
    source = released.rename(tmp_path / "weights.pth")
    result = run("convert", source, tmp_path / "out")
    assert result.returncode == 2
    assert "does not identify its metric" in result.stderr
    assert "metric" in result.stderr
    assert not (tmp_path / "out").exists()
    result = run("convert", source, tmp_path / "out", "--metric", MEM)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--half"], "half precision needs 'merged'"),
        (["--format", "fat"], "'fat' is not one of"),
        (["-m", "perceptclip_memo"], "Did you mean 'perceptclip_mem'"),
        (["-m", "clipiqa"], "clipiqa"),
        (["-m", "lite_iqa"], "lite_iqa"),
        (["-m", EMO], "(1, 256), expected (8, 256)"),
    ],
)
def test_bad_requests_say_why_and_write_nothing(
    run: Command, tmp_path: Path, released: Path, words: list[str], said: str
) -> None:
    result = run("convert", released, tmp_path / "out", *words)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("source", ["missing.pth", "missing", "text.pth", "empty"])
def test_a_source_that_is_none_is_refused(run: Command, tmp_path: Path, source: str) -> None:
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "empty").mkdir()
    result = run("convert", tmp_path / source, tmp_path / "out", "-m", MEM)
    assert result.returncode == 2
    assert str(tmp_path / source) in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_merged_source_holds_nothing_slim(run: Command, tmp_path: Path, released: Path) -> None:
    run("convert", released, tmp_path / "merged", "--format", "merged")
    result = run("convert", tmp_path / "merged", tmp_path / "slim")
    assert result.returncode == 2
    assert "contains no adapters" in result.stderr


def test_a_copy_that_scores_otherwise_is_not_written(
    run: Command, tmp_path: Path, released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the merging were wrong."""
    monkeypatch.setattr("perceptmetrics.export.write.largest_deviation", lambda *_: 0.5)
    (tmp_path / "out").mkdir()
    result = run("convert", released, tmp_path / "out")
    assert result.returncode == 2
    assert "does not reproduce the original's scores (largest difference 0.5" in result.stderr
    assert os.listdir(tmp_path / "out") == []
    assert not [entry for entry in os.listdir(tmp_path) if entry.startswith(".")]


def test_a_damaged_copy_is_noticed_by_its_golden_scores(run: Command, tmp_path: Path, released: Path) -> None:
    run("convert", released, tmp_path / "merged", "--format", "merged")
    weights = tensors_in(tmp_path / "merged")
    weights["head.layers.0.bias"] += 0.5
    save_file(weights, tmp_path / "merged" / "model.safetensors")
    assert largest_deviation(tmp_path / "merged", create_metric(tmp_path / "merged")) > 1e-3
