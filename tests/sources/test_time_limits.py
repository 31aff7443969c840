"""A file system that does not answer costs its time limit, not the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images import addresses, limits
from perceptmetrics.images.load import load_pixels
from perceptmetrics.images.sources import ReadOptions, find_sources
from perceptmetrics.scoring.stream import score_images
from tests.support.encoded_images import encode, noise
from tests.support.mean_colour_metric import tiny_metric

RELEASE = threading.Event()


class Silent(MemoryFileSystem):
    """A file system that never answers."""

    protocol = "silent"

    def _wait(self, *_: object, **__: object) -> object:
        RELEASE.wait(60)
        raise FileNotFoundError

    _open = info = ls = isfile = exists = find = _wait


class Slow(Silent):
    """A file system that does not even connect."""

    protocol = "slow"
    cachable = False

    def __init__(self) -> None:
        self._wait()


@pytest.fixture(autouse=True)
def silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    RELEASE.clear()
    monkeypatch.setattr(addresses, "ANSWER_SECONDS", 0.2)
    fsspec.register_implementation("silent", Silent, clobber=True)
    fsspec.register_implementation("slow", Slow, clobber=True)
    yield
    RELEASE.set()


@pytest.mark.parametrize("scheme", ["silent", "slow"])
def test_an_address_is_given_up(scheme: str) -> None:
    start = time.monotonic()
    with pytest.raises(InvalidImageError, match=r"x\.png cannot be read: no answer within 0\.2 seconds"):
        load_pixels(f"{scheme}:///x.png")
    for asked in ("x.png", "folder/", "*.png"):
        with pytest.raises(InvalidImageError, match="cannot be listed: no answer within"):
            list(find_sources([f"{scheme}:///{asked}"]))
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("suffix", [".tar", ".parquet", ".csv"])
def test_a_file_of_many_images_is_given_up(suffix: str) -> None:
    with pytest.raises(InvalidImageError, match="no answer within"):
        list(find_sources([f"silent:///x{suffix}"])) if suffix != ".csv" else load_pixels(f"silent:///x{suffix}")


def test_in_a_table_the_others_are_scored(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(noise(), "PNG"))
    (tmp_path / "t.csv").write_text("image\nsilent:///x.png\na.png\n")
    options = ReadOptions(outside_paths=True)
    given_up, scored = score_images([tiny_metric()], find_sources([tmp_path / "t.csv"], options=options))
    assert "no answer within" in str(given_up.error)
    assert scored.error is None


def test_what_an_address_gives_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_HELD_BYTES", 3 << 20)
    fsspec.filesystem("memory").pipe_file("/large.png", bytes(4 << 20))
    with pytest.raises(InvalidImageError, match=r"large\.png has 4,194,304 bytes; at most 3,145,728 are read here"):
        load_pixels("memory:///large.png")
