"""The cache of converted files: filled once, checked at each use, never needed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from perceptmetrics import create_metric
from perceptmetrics.errors import WeightsError
from perceptmetrics.export.convert import convert
from perceptmetrics.factory import tuned_encoder as tuned
from perceptmetrics.weights import tensor_files
from perceptmetrics.weights.cache import CACHE_VARIABLE
from tests.support.photographs import photographs
from tests.support.released_files import NAMES, write_released

ROOT = Path(__file__).parents[2]
METRIC = "perceptclip_mem"


pytestmark = pytest.mark.usefixtures("tiny_metrics", "cache")


@pytest.fixture(scope="module")
def images():
    return photographs(240, 300)[:2]


@pytest.fixture
def source(tmp_path):
    return write_released(tmp_path / "released.pth", METRIC)


@pytest.fixture
def unread(monkeypatch):
    """Pickles cannot be read from now on."""

    def read(*_, **__):
        raise AssertionError("a pickle was read")

    return lambda: monkeypatch.setattr(torch, "load", read)


def test_the_second_metric_does_not_read_the_source(source, images, unread):
    expected = create_metric(METRIC, checkpoint=source)(images)
    unread()
    assert torch.equal(create_metric(METRIC, checkpoint=source)(images), expected)


def test_a_moved_source_is_recognised(source, images, unread):
    expected = create_metric(METRIC, checkpoint=source)(images)
    unread()
    moved = source.rename(source.with_name("elsewhere.pth"))
    assert torch.equal(create_metric(METRIC, checkpoint=moved)(images), expected)


def test_another_source_under_the_same_name_is_not_mistaken_for_the_first(source, images):
    first = create_metric(METRIC, checkpoint=source)(images)
    write_released(source, "perceptclip_iqa")  # one output too
    second = create_metric(METRIC, checkpoint=source)(images)
    assert (first - second).abs().min() > 1e-3


def test_conversion_changes_no_score(source, images, monkeypatch):
    converted = create_metric(METRIC, checkpoint=source)(images)
    monkeypatch.setattr(tuned, "_write_converted", fail)
    monkeypatch.setattr(tuned, "_read_converted", lambda *_: None)
    assert torch.equal(create_metric(METRIC, checkpoint=source)(images), converted)


def fail(*_, **__):
    raise OSError("no space left")


def test_the_encoder_lies_once_for_the_three_metrics(tmp_path, cache):
    for name in NAMES:
        create_metric(name, checkpoint=write_released(tmp_path / name / "file.pth", name))
    assert len(list(cache.glob("encoders/*.safetensors"))) == 1
    assert len(list(cache.glob("converted/*.safetensors"))) == 3


def test_another_encoder_lies_beside_it(tmp_path, cache):
    for seed in range(2):
        path = write_released(tmp_path / f"{seed}.pth", METRIC, base_seed=seed)
        create_metric(METRIC, checkpoint=path)
    assert len(list(cache.glob("encoders/*.safetensors"))) == 2


@pytest.mark.parametrize("folder", ["encoders", "converted"])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "first byte", "last byte", "text"])
def test_damaged_files_are_made_anew(source, cache, images, unread, folder, damage):
    expected = create_metric(METRIC, checkpoint=source)(images)
    [path] = cache.glob(f"{folder}/*.safetensors")
    content = bytearray(path.read_bytes())
    ruin(path, content, damage)
    assert torch.equal(create_metric(METRIC, checkpoint=source)(images), expected)
    unread()
    assert path.is_file()
    assert torch.equal(create_metric(METRIC, checkpoint=source)(images), expected)


def ruin(path, content, damage):
    """Damage a file, and let its time show that it was written to."""
    written = path.stat().st_mtime_ns
    if damage == "missing":
        path.unlink()
        return
    if damage.endswith("byte"):
        content[0 if damage == "first byte" else -1] ^= 1
        path.write_bytes(content)
    else:
        path.write_bytes({"empty": b"", "truncated": content[: len(content) // 2], "text": b"no tensors"}[damage])
    os.utime(path, ns=(written + 1_000_000, written + 1_000_000))


@pytest.mark.parametrize("record", ["{", "[]", "{}", '{"sha256": 3, "encoder": null}', "\0"])
def test_a_damaged_record_is_no_record(source, cache, images, record):
    expected = create_metric(METRIC, checkpoint=source)(images)
    for path in cache.rglob("*.json"):
        path.write_text(record)
    assert torch.equal(create_metric(METRIC, checkpoint=source)(images), expected)


@pytest.mark.parametrize("obstacle", ["a file in place of the folder", "no space left"])
def test_without_a_cache_the_source_is_used_as_it_is(source, cache, images, monkeypatch, caplog, obstacle):
    expected = create_metric(METRIC, checkpoint=source)(images)
    if obstacle == "no space left":
        monkeypatch.setenv(CACHE_VARIABLE, str(cache.parent / "another"))
        monkeypatch.setattr(tuned, "write_trained", fail)
    else:
        blocked = cache.parent / "blocked"
        blocked.write_text("")
        monkeypatch.setenv(CACHE_VARIABLE, str(blocked))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert torch.equal(create_metric(METRIC, checkpoint=source)(images), expected)
    assert str(source) in caplog.text
    assert "could not be converted" in caplog.text


def test_nothing_is_logged_when_all_goes_well(source, caplog):
    with caplog.at_level(logging.WARNING):
        create_metric(METRIC, checkpoint=source)
        create_metric(METRIC, checkpoint=source)
    assert not caplog.records


_CREATE = """
import sys
from pathlib import Path
from perceptmetrics import create_metric
from tests.support import released_files
from tests.support.photographs import photographs

_, source, folder = sys.argv
with released_files.registered(Path(folder)):
    print("ready", flush=True)
    sys.stdin.readline()
    metric = create_metric("perceptclip_mem", checkpoint=source)
print(metric(photographs(240, 300)[:2]).tolist())
"""


def test_two_processes_at_once(source, cache, images, tmp_path, monkeypatch, unread):
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _CREATE, str(source), str(tmp_path / f"configurations {number}")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for number in range(2)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1]
    files = {path.relative_to(cache).parts[0] for path in cache.rglob("*") if path.is_file()}
    assert files == {"converted", "encoders", "digests", "sha256"}
    assert not list(cache.rglob(".*"))  # no temporary file was left
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "another"))
    expected = create_metric(METRIC, checkpoint=source)(images)
    assert outputs[0] == f"{expected.tolist()}\n"


def test_a_full_disk_is_a_warning(source, images, monkeypatch, caplog):
    def refuse(*_, **__):
        raise SafetensorError("I/O error: No space left on device")

    expected = create_metric(METRIC, checkpoint=source)
    monkeypatch.setattr(tensor_files, "save_file", refuse)
    monkeypatch.setenv(CACHE_VARIABLE, str(source.parent / "other"))
    torch.testing.assert_close(create_metric(METRIC, checkpoint=source)(images), expected(images))
    assert "No space left" in caplog.text


def test_the_folder_of_another_metric_is_refused(source, tmp_path):
    convert(source, tmp_path / "slim", metric=METRIC)
    with pytest.raises(WeightsError, match=f"holds the metric '{METRIC}', not 'perceptclip_iqa'"):
        create_metric("perceptclip_iqa", checkpoint=tmp_path / "slim")
