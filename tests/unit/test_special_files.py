"""Pipes, devices, sockets, folders and links to nothing are refused by name; none is waited for."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from perceptmetrics import create_metric, score_frame, score_video
from perceptmetrics.errors import InvalidImageError, PerceptMetricsError, WeightsError
from perceptmetrics.images import limits, load
from perceptmetrics.images.load import load_pixels
from perceptmetrics.images.sources import Part, find_sources, read_part
from perceptmetrics.scoring.stream import score_images
from tests.cli.in_process import Command
from tests.support.encoded_images import encode, noise
from tests.support.mean_colour_metric import tiny_metric

KINDS = {
    "pipe": "is a named pipe (FIFO), not a file",
    "socket": "is a socket, not a file",
    "device": "is a device, not a file",
    "folder": "is a folder",
    "dangling": "is a link to 'nowhere', which does not exist",
    "loop": "is a link that leads back to itself",
    "link to a pipe": "is a named pipe (FIFO), not a file",
}


def make(path: Path, kind: str) -> Path:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        here = Path.cwd()
        os.chdir(path.parent)  # the name of a socket may have 100 characters
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
        os.chdir(here)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "loop":
        path.symlink_to(path.name)
    else:
        os.mkfifo(path.with_name("the_pipe"))
        path.symlink_to("the_pipe")
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "x.png", kind)
    with pytest.raises(InvalidImageError) as refusal:
        load_pixels(path)
    assert str(refusal.value).startswith(f"{path} {KINDS[kind]}")
    with pytest.raises(InvalidImageError, match="cannot be read: "):
        load_pixels(f"file://{path}")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "folder"])
@pytest.mark.parametrize("asked", ["", "/*.png"])
def test_in_a_folder_the_others_are_scored(tmp_path: Path, kind: str, asked: str) -> None:
    make(tmp_path / "x.png", kind)
    (tmp_path / "y.png").write_bytes(encode(noise(), "PNG"))
    refused, scored = score_images([tiny_metric()], find_sources([f"{tmp_path}{asked}"]))
    assert KINDS[kind] in str(refused.error)
    assert scored.error is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".parquet", ".csv"])
def test_files_of_many_images_are_refused_by_name(tmp_path: Path, kind: str, suffix: str) -> None:
    path = make(tmp_path / f"x{suffix}", kind)
    (failure,) = read_part(Part(container=str(path)))
    assert failure.name == str(path)
    assert KINDS[kind] in str(failure.source)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_in_a_table_the_others_are_scored(tmp_path: Path, kind: str, suffix: str) -> None:
    make(tmp_path / "x.png", kind)
    (tmp_path / "y.png").write_bytes(encode(noise(), "PNG"))
    table = pd.DataFrame({"image": ["x.png", "y.png"]})
    path = tmp_path / f"t{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    refused, scored = score_images([tiny_metric()], find_sources([path]))
    assert refused.error is not None
    assert scored.error is None
    frame = score_frame(table, tiny_metric(), folder=tmp_path)
    assert KINDS[kind] in frame["score_error"][0]
    assert frame["score_error"][1] is None


@pytest.mark.parametrize("kind", KINDS)
def test_videos_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "x.mp4", kind)
    with pytest.raises(InvalidImageError) as refusal:
        score_video(tiny_metric(), path)
    assert str(refusal.value).startswith(f"{path} {KINDS[kind]}")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("folder", "dangling")])
@pytest.mark.parametrize("option", ["checkpoint", "backbone_checkpoint"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_are_refused_by_name(tmp_path: Path, kind: str, option: str, suffix: str) -> None:
    path = make(tmp_path / f"x{suffix}", kind)
    with pytest.raises(WeightsError) as refusal:
        create_metric("lite_iqa", **{option: path})
    assert KINDS[kind] in str(refusal.value)


def test_an_exported_folder_with_a_pipe_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "spec.json", "pipe")
    with pytest.raises(PerceptMetricsError, match="named pipe"):
        create_metric(str(tmp_path))


def test_files_that_are_too_large_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(encode(noise(), "PNG"))
    os.truncate(path, limits.MAX_FILE_BYTES + 1)
    with pytest.raises(InvalidImageError, match=r"has 2,147,483,649 bytes; at most 2,147,483,648 are read here"):
        load_pixels(path)
    os.truncate(path, 20_000)  # what follows the image is no reason to refuse it
    assert load_pixels(path).shape == (3, 12, 17)
    monkeypatch.setattr(load, "MAX_FILE_BYTES", 19_999)
    with pytest.raises(InvalidImageError, match="has 20,000 bytes"):
        load_pixels(path)


def test_the_command_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "x.png", "pipe")
    make(tmp_path / "x.mp4", "pipe")
    (tmp_path / "y.png").write_bytes(encode(noise(64, 64), "PNG"))
    result = Command(monkeypatch, capsys)("score", str(tmp_path), str(tmp_path / "x.mp4"), "--format", "csv")
    assert result.returncode == 1
    assert f"{tmp_path}/x.png is a named pipe (FIFO), not a file" in result.stdout
    assert f"{tmp_path}/x.mp4 is a named pipe (FIFO), not a file" in result.stdout
    assert result.stdout.count("named pipe") == 2


def test_what_is_a_pipe_only_when_it_is_opened_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perceptmetrics._util import files

    check: Callable[[Path], None] = files.check_regular
    path = tmp_path / "x.png"
    path.touch()

    def exchange(checked: Path) -> None:
        check(checked)
        path.unlink()
        os.mkfifo(path)

    monkeypatch.setattr(files, "check_regular", exchange)
    with pytest.raises(InvalidImageError, match="named pipe"):
        load_pixels(path)
