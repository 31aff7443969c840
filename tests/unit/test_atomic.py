"""Files and folders appear whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from perceptmetrics._util.atomic import replacing, replacing_folder


class Interrupted(BaseException):
    """As Ctrl-C: no `Exception`."""


def fail_after_writing(error, path):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise error


def fail_after_filling(error, path):
    with replacing_folder(path) as temporary:
        (temporary / "new").write_text("half")
        raise error


def test_a_file_appears_with_its_folder(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with replacing(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert os.listdir(path.parent) == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError, Interrupted])
def test_a_failure_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error):
        fail_after_writing(error, path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "file.txt"
    with replacing(path) as one, replacing(path) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"  # the last to end
    assert os.listdir(tmp_path) == ["file.txt"]


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_permissions_are_those_of_any_new_file(tmp_path, umask):
    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("")
    with replacing_folder(tmp_path / "folder") as folder:
        (folder / "file").write_text("")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o777 & ~umask
    assert os.umask(umask) == umask


def test_a_folder_replaces_all_that_the_old_one_held(tmp_path):
    path = tmp_path / "deep" / "folder"
    for name in ("first", "second"):
        with replacing_folder(path) as temporary:
            (temporary / name).write_text(name)
            assert [entry for entry in path.parent.iterdir() if not entry.name.startswith(".")] in ([], [path])
        assert os.listdir(path) == [name]
    assert os.listdir(path.parent) == ["folder"]


@pytest.mark.parametrize("error", [ValueError, Interrupted])
def test_a_failure_leaves_the_old_folder(tmp_path, error):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(error):
        fail_after_filling(error, path)
    assert os.listdir(path) == ["old"]
    assert os.listdir(tmp_path) == ["folder"]


def test_a_file_that_cannot_take_its_place_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("")
    with pytest.raises(OSError, match="taken"), replacing(tmp_path / "taken") as temporary:
        Path(temporary).write_text("")
    assert os.listdir(tmp_path) == ["taken"]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    path, rename = tmp_path / "folder", Path.rename
    path.mkdir()
    (path / "old").write_text("old")

    def refuse_the_new_one(source, target):
        if (source / "new").exists():
            raise OSError("refused")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new_one)
    with pytest.raises(OSError, match="refused"), replacing_folder(path) as temporary:
        (temporary / "new").write_text("new")
    assert os.listdir(path) == ["old"]
    assert os.listdir(tmp_path) == ["folder"]
