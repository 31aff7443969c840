"""A run that is killed anywhere goes on to the same end; a run is never taken for another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perceptmetrics.errors import InvalidOptionError, WeightsError
from perceptmetrics.finetune.training import trainer
from perceptmetrics.finetune.training.epochs import NullObserver
from tests.finetune.tiny import LORA, assert_same_run, rated, tiny_recipe

SETTINGS = (
    *LORA,
    "lora.dropout=0.2",
    "head.dropout=0.3",
    "head_first=true",
    "head_epochs=2",
    "head_lr=2e-3",
    "lr=[1e-3, 3e-3]",
    "schedule=cosine",
    "warmup=3",
    "augmentation={horizontal_flip: true}",
    "epochs=2",
    "accumulation=2",
)
PLACES = {
    "in the middle of an epoch": {"step": ["main", 1, 2], "save_each_step": True},
    "after the last step of an epoch": {"step": ["head_first", 1, 4], "save_each_step": True},
    "between epochs": {"epoch": ["main", 0]},
    "in the middle of writing a state": {"write": 3},
}


class InterruptedRunError(Exception):
    pass


class Interrupter(NullObserver):
    """Raises after some steps of the run."""

    def __init__(self, steps):
        self._left = steps

    def step(self, *_):
        self._left -= 1
        if self._left == 0:
            raise InterruptedRunError


class Counter(NullObserver):
    def __init__(self):
        self.steps = 0

    def step(self, *_):
        self.steps += 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def many_settings(folder):
    return tiny_recipe(folder, *SETTINGS)


@pytest.fixture
def whole(folder, many_settings, train, pictures):
    """The run that nothing interrupted."""
    if not (folder / "whole").exists():
        train(many_settings, [rated(pictures)], folder / "whole")
    return folder / "whole"


@pytest.fixture(scope="module")
def killed(folder, many_settings, pictures, encoder):
    """How the run in each place ended, and its folder."""
    common = {"recipe": str(folder / "tiny.yaml"), "settings": SETTINGS, "pictures": str(pictures)}
    common["encoder"] = str(encoder)
    folders = {place: folder / place.replace(" ", "_") for place in PLACES}
    jobs = [common | {"output": str(folders[place])} | PLACES[place] for place in PLACES]
    command = [sys.executable, "-W", "error", "-m", "tests.finetune.killed_child", json.dumps(jobs)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=environment, timeout=600, check=True, stdout=subprocess.PIPE)
    return dict(zip(PLACES, zip(json.loads(ended.stdout), folders.values(), strict=True), strict=True))


@pytest.mark.parametrize("place", PLACES)
def test_killed_run_ends_like_an_uninterrupted_one(place, killed, many_settings, whole, train, pictures):
    status, output = killed[place]
    assert status == -signal.SIGKILL
    assert (output / "state").is_dir()
    assert not (output / "scores.safetensors").exists()
    train(many_settings, [rated(pictures)], output, resume=True)
    assert_same_run(output, whole)
    assert not (output / "state").exists()


def test_run_that_is_interrupted_again_and_again_ends_the_same(
    folder, many_settings, whole, train, pictures, monkeypatch
):
    monkeypatch.setattr(trainer, "_SAVE_AFTER", -1.0)
    output = folder / "again"
    for _ in range(2):
        with pytest.raises(InterruptedRunError):
            train(many_settings, [rated(pictures)], output, resume=True, observer=Interrupter(11))
    train(many_settings, [rated(pictures)], output, resume=True)
    assert_same_run(output, whole)


def test_finished_run_resumes_to_the_same_result_without_a_step(folder, whole, train, recipe, data, tmp_path):
    first = train(recipe(), [data], tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.is_file()}
    counter = Counter()
    second = train(recipe(), [data], tmp_path / "run", resume=True, observer=counter)
    assert counter.steps == 0
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert second.metrics == first.metrics
    assert second.stages == first.stages
    for one, other in zip(first.splits, second.splits, strict=True):
        assert replace(one, data_sets=(), parts=()) == replace(other, data_sets=(), parts=())
        for mine, theirs in zip(one.parts, other.parts, strict=True):
            for part in ("train", "validation", "test"):
                np.testing.assert_array_equal(getattr(mine, part), getattr(theirs, part))
        for mine, theirs in zip(one.data_sets, other.data_sets, strict=True):
            np.testing.assert_array_equal(mine.images, theirs.images)
            np.testing.assert_array_equal(mine.scores, theirs.scores)
            assert repr(mine.statistics) == repr(theirs.statistics)


def test_second_start_in_the_same_folder_is_refused(train, recipe, data, tmp_path):
    train(recipe("epochs=1"), [data], tmp_path / "run")
    with pytest.raises(InvalidOptionError, match=r"already holds a run.*--resume"):
        train(recipe("epochs=1"), [data], tmp_path / "run")


def test_folder_of_other_things_is_refused(train, recipe, data, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").touch()
    with pytest.raises(InvalidOptionError, match="exists and holds no run"):
        train(recipe(), [data], tmp_path / "run", resume=True)


@pytest.fixture(params=["stopped", "finished"])
def started(request, train, recipe, data, tmp_path):
    """A run of which one epoch at least is done."""
    if request.param == "finished":
        train(recipe(), [data], tmp_path / "run")
    else:
        with pytest.raises(InterruptedRunError):
            train(recipe(), [data], tmp_path / "run", observer=Interrupter(5))
    return tmp_path / "run"


def test_another_recipe_does_not_resume(started, train, recipe, data):
    with pytest.raises(InvalidOptionError, match="a run of another recipe"):
        train(recipe("weight_decay=0.5"), [data], started, resume=True)


def other_ratings(data):
    return replace(data, ratings=data.ratings[::-1].copy())


def other_names(data):
    return replace(data, names=tuple(f"new {name}" for name in data.names))


def other_groups(data):
    return replace(data, groups=tuple(str(number // 2) for number in range(len(data))))


@pytest.mark.parametrize("change", [other_ratings, other_names, other_groups])
def test_other_data_do_not_resume(change, started, train, recipe, data):
    with pytest.raises(WeightsError, match=r"another training.*data"):
        train(recipe(), [change(data)], started, resume=True)


def test_other_encoder_does_not_resume(started, train, recipe, data, encoder, tmp_path):
    changed = tmp_path / "other.safetensors"
    content = bytearray(Path(encoder).read_bytes())
    content[-3] ^= 1
    changed.write_bytes(content)
    with pytest.raises(WeightsError, match=r"another training.*encoder"):
        train(recipe(), [data], started, resume=True, backbone_checkpoint=changed)


def test_corrupt_state_is_named(train, recipe, data, tmp_path):
    with pytest.raises(InterruptedRunError):
        train(recipe(), [data], tmp_path / "run", observer=Interrupter(5))
    (state,) = (tmp_path / "run" / "state").glob("*.safetensors")
    os.truncate(state, state.stat().st_size // 2)
    with pytest.raises(WeightsError, match=rf"{state.name} is corrupt. Delete it"):
        train(recipe(), [data], tmp_path / "run", resume=True)
