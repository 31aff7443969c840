"""Files and folders appear whole or not at all."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from perceptmetrics._util import atomic
from perceptmetrics._util.atomic import recover_folder, replacing, replacing_folder


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

    monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    monkeypatch.setattr(Path, "rename", refuse_the_new_one)
    with pytest.raises(OSError, match="refused"), replacing_folder(path) as temporary:
        (temporary / "new").write_text("new")
    assert os.listdir(path) == ["old"]
    assert os.listdir(tmp_path) == ["folder"]


KILLED = """
    import os, signal, shutil, sys
    from pathlib import Path
    from perceptmetrics._util import atomic

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    moment, folder = sys.argv[1], Path(sys.argv[2])
    if moment == "while it is filled":
        written = die
    else:
        written = lambda: None
    if moment == "after the exchange":
        shutil.rmtree = die
    if moment in ("between two renames", "after two renames"):
        atomic._exchange = lambda *_: False
        rename, renamed = Path.rename, []
        def count(source, target):
            rename(source, target)
            renamed.append(target)
            if len(renamed) == (1 if moment == "between two renames" else 2):
                die()
        Path.rename = count
    with atomic.replacing_folder(folder) as temporary:
        (temporary / "new").write_text("new")
        written()
"""


@pytest.mark.parametrize(
    ("moment", "held"),
    [
        ("while it is filled", "old"),
        ("after the exchange", "new"),
        ("between two renames", "old"),
        ("after two renames", "new"),
    ],
)
def test_a_killed_process_leaves_the_old_folder_or_the_new_one(tmp_path, moment, held):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), moment, path], check=False)
    assert run.returncode == -signal.SIGKILL
    recover_folder(path)
    assert os.listdir(path) == [held]
    for left in tmp_path.glob(".folder.*"):  # a day later
        os.utime(left, (0, 0))
    with replacing_folder(path) as temporary:
        (temporary / "last").write_text("last")
    assert os.listdir(path) == ["last"]
    assert os.listdir(tmp_path) == ["folder"]


def test_the_system_exchanges_two_folders(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("")
    if not atomic._exchange(tmp_path / "one", tmp_path / "other"):
        pytest.skip("not on this system or file system")
    assert os.listdir(tmp_path / "one") == ["other"]
    assert os.listdir(tmp_path / "other") == ["one"]
    assert not atomic._exchange(tmp_path / "one", tmp_path / "missing")


def test_a_folder_that_another_process_fills_now_is_left_alone(tmp_path):
    with replacing_folder(tmp_path / "folder") as one:
        with replacing_folder(tmp_path / "folder") as other:
            (other / "other").write_text("")
        (one / "one").write_text("")
    assert os.listdir(tmp_path / "folder") == ["one"]
    assert os.listdir(tmp_path) == ["folder"]
