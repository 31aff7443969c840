"""The package's own cache: where it is, and that nothing in it is trusted or needed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from perceptmetrics.weights.cache import (
    CACHE_VARIABLE,
    cache_home,
    read_record,
    remember,
    remember_of_file,
    write_record,
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"weights")
    return path


def is_count(value):
    return isinstance(value, dict) and list(value) == ["calls"]


class Count:
    """Computes the number of its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return {"calls": self.calls}


def test_where_the_cache_is(monkeypatch, tmp_path):
    assert cache_home() == tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, "~/elsewhere")
    assert cache_home() == Path.home() / "elsewhere"
    monkeypatch.setenv(CACHE_VARIABLE, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_home() == tmp_path / "xdg" / "perceptmetrics"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_home() == Path.home() / ".cache" / "perceptmetrics"


def test_a_record_is_read_as_it_was_written(tmp_path):
    write_record(tmp_path / "deep" / "record.json", {"a": [1, None], "ü": "x"})
    assert read_record(tmp_path / "deep" / "record.json") == {"a": [1, None], "ü": "x"}
    assert os.listdir(tmp_path / "deep") == ["record.json"]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"3", b"\xff\xfe{}"])
def test_a_missing_or_damaged_record_is_none(tmp_path, content):
    path = tmp_path / "record.json"
    if content is not None:
        path.write_bytes(content)
    assert read_record(path) is None


def test_a_record_that_cannot_be_written_is_done_without(tmp_path, file):
    remember(file / "record.json", {"a": 1})
    assert file.read_bytes() == b"weights"


def test_what_was_computed_is_recalled(file):
    count = Count()
    assert [remember_of_file("kind", file, count, is_count) for _ in range(3)] == [{"calls": 1}] * 3
    assert remember_of_file("another kind", file, count, is_count) == {"calls": 2}


def test_the_same_file_by_another_path_is_recalled(file, tmp_path, monkeypatch):
    count = Count()
    remember_of_file("kind", file, count, is_count)
    (tmp_path / "link.bin").symlink_to(file)
    monkeypatch.chdir(tmp_path)
    assert remember_of_file("kind", tmp_path / "link.bin", count, is_count) == {"calls": 1}
    assert remember_of_file("kind", Path("weights.bin"), count, is_count) == {"calls": 1}


@pytest.mark.parametrize("change", ["content", "time", "another file"])
def test_what_changed_is_computed_again(file, tmp_path, change):
    count = Count()
    remember_of_file("kind", file, count, is_count)
    if change == "content":
        state = file.stat()
        file.write_bytes(b"other weights")
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    elif change == "time":
        os.utime(file, ns=(0, 1))
    else:
        file = file.rename(tmp_path / "moved.bin")
    assert remember_of_file("kind", file, count, is_count) == {"calls": 2}
    assert remember_of_file("kind", file, count, is_count) == {"calls": 2}


@pytest.mark.parametrize("damage", ["torn", "no value", "of another form", "of another file"])
def test_a_damaged_record_is_computed_again(cache, file, damage):
    count = Count()
    remember_of_file("kind", file, count, is_count)
    [record] = cache.rglob("*.json")
    document = json.loads(record.read_text())
    if damage == "torn":
        record.write_text(record.read_text()[:-3])
    elif damage == "no value":
        del document["value"]
        record.write_text(json.dumps(document))
    else:
        other = {"value": [1]} if damage == "of another form" else {"path": "/somewhere/else"}
        record.write_text(json.dumps(document | other))
    assert [remember_of_file("kind", file, count, is_count) for _ in range(2)] == [{"calls": 2}] * 2


def test_a_cache_that_cannot_be_written_costs_time_only(file, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(file))
    count = Count()
    assert [remember_of_file("kind", file, count, is_count) for _ in range(2)] == [{"calls": 1}, {"calls": 2}]
