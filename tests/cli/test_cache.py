"""`perceptmetrics cache info` and `cache clear`."""

from __future__ import annotations

import os
import time

import pytest

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.weights.cache import CACHE_VARIABLE
from perceptmetrics.weights.cache_content import (
    LIMIT_VARIABLE,
    cache_content,
    clear_cache,
    feature_limit,
    trim_features,
)
from perceptmetrics.weights.trust import STATE_VARIABLE
from tests.cli.in_process import Command

DAY = 86_400


@pytest.fixture
def run(monkeypatch, capsys):
    return Command(monkeypatch, capsys)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    return tmp_path / "cache"


def put(path, size, days=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    used = time.time() - days * DAY
    os.utime(path, (used, used))
    return path


@pytest.fixture
def filled(cache, tmp_path):
    put(cache / "features" / "ab" / "abc.safetensors", 3_000_000, days=40)
    put(cache / "features" / "cd" / "cde.safetensors", 1_500_000, days=2)
    put(cache / "prompts" / "p.safetensors", 700)
    put(cache / "prompts" / ".p.0123456789abcdef.safetensors", 50, days=9)  # of a process that was killed
    put(cache / "notes.txt", 5)
    put(cache / "own" / "file", 5)
    put(tmp_path / "state" / "first-seen" / "a.json", 10)
    return cache


def test_info_shows_what_there_is(run, filled, tmp_path):
    output = run("cache", "info").stdout
    rows = {line.split()[0]: " ".join(line.split()) for line in output.splitlines() if line.strip()}
    assert rows["features"].startswith("features 2 4.5 MB 40 to 2")
    assert rows["prompts"].startswith("prompts 2 750 bytes 9 to 0")
    assert rows["encoders"].startswith("encoders 0 0 bytes")
    assert f"1 in {tmp_path / 'state' / 'first-seen'}; never cleared" in output
    assert str(filled) in output
    assert "20.0 GB" in output


def test_clear_removes_all_but_what_others_put_there(run, filled, tmp_path):
    assert "Removed 4.5 MB." in run("cache", "clear").stderr
    assert sorted(path.name for path in filled.rglob("*") if path.is_file()) == ["file", "notes.txt"]
    assert not (filled / "features").exists()
    assert (tmp_path / "state" / "first-seen" / "a.json").exists()
    assert "Removed 0 bytes." in run("cache", "clear").stderr


def test_clear_takes_kinds_and_an_age(run, filled):
    assert clear_cache(["features"], older_than=30) == 3_000_000
    assert [kind.files for kind in cache_content()[:2]] == [1, 2]
    assert "Removed 750 bytes." in run("cache", "clear", "prompts").stderr
    assert [kind.files for kind in cache_content()[:2]] == [1, 0]


def test_an_unknown_kind_is_an_error(filled):
    with pytest.raises(InvalidOptionError, match=r"no kind 'own'\. Kinds: features, prompts"):
        clear_cache(["own"])
    assert (filled / "own" / "file").exists()


def test_a_link_in_the_cache_leads_nowhere(cache, tmp_path):
    target = put(tmp_path / "elsewhere" / "file", 5)
    (cache / "features").mkdir(parents=True)
    (cache / "features" / "link").symlink_to(target)
    (cache / "features" / "folder").symlink_to(target.parent)
    clear_cache()
    assert target.exists()


def test_features_that_were_not_used_for_longest_go_first(cache, monkeypatch):
    files = [put(cache / "features" / f"{number}" / "x.safetensors", 400_000, days=number) for number in range(5)]
    prompt = put(cache / "prompts" / "p.safetensors", 2_000_000, days=99)
    trim_features()
    assert all(file.exists() for file in files)
    monkeypatch.setenv(LIMIT_VARIABLE, "0.001")
    trim_features()
    assert [file.exists() for file in files] == [True, True, False, False, False]
    assert prompt.exists()


@pytest.mark.parametrize("stated", ["many", "-1", "nan", "inf"])
def test_a_limit_is_a_number_of_gigabytes(cache, monkeypatch, stated):
    monkeypatch.setenv(LIMIT_VARIABLE, stated)
    with pytest.raises(InvalidOptionError, match="must be a number of gigabytes"):
        feature_limit()
