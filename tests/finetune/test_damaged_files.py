"""Damaged files of a run are named, with what to do; nothing is trained or reported from them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from perceptmetrics.errors import FullDiskError, WeightsError
from perceptmetrics.finetune.training.epochs import EpochRecord, NullObserver
from perceptmetrics.finetune.training.state import (
    Progress,
    TrainingState,
    load_optimizer,
    load_weights,
    optimizer_tensors,
    read_state,
    trained_tensors,
    write_state,
)
from perceptmetrics.weights.tensor_files import read_metadata, read_tensors, save_tensors

RECORD = EpochRecord(
    epoch=0, loss=0.5, validation={"a": 0.25}, selection=float("nan"), lr=1e-3, seconds=1.5, validation_loss=2.5
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A state whose notes and tensors the tests damage; it has no digest, like those of earlier versions."""
    path = tmp_path / "state.safetensors"
    tensors = {"a.weight": torch.rand(3, 2), "a.bias": torch.rand(3)}
    moments = {"a.weight/step": torch.tensor(4.0), "a.weight/exp_avg": torch.rand(3, 2)}
    progress = Progress(identity="it", epoch=1, records=[RECORD])
    write_state(path, TrainingState(progress=progress, weights=tensors, best=tensors, optimizer=moments))
    return path


def rewrite(path: Path, change: Callable[[dict[str, Tensor], dict[str, Any]], object]) -> None:
    """Change the tensors and the progress of a state, and leave out its digest."""
    tensors, document = read_tensors(path), json.loads(read_metadata(path)["progress"])
    changed = change(tensors, document)
    text = changed if isinstance(changed, str) else json.dumps(document if changed is None else changed)
    save_tensors(tensors, path, {"progress": text})


def test_a_state_is_read_as_it_was_written(saved: Path) -> None:
    state = read_state(saved, "it")
    assert state is not None
    assert repr(state.progress) == repr(Progress(identity="it", epoch=1, records=[RECORD]))
    assert sorted(state.weights) == sorted(state.best) == ["a.bias", "a.weight"]
    rewrite(saved, lambda tensors, document: None)
    older = read_state(saved, "it")
    assert older is not None
    assert older.progress.records[0].loss == 0.5


def test_any_changed_byte_of_a_tensor_is_noticed(saved: Path) -> None:
    content = saved.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    for index in range(start, len(content), 5):
        saved.write_bytes(content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :])
        with pytest.raises(WeightsError, match=r"is corrupt. Delete it to train this part of the run again"):
            read_state(saved, "it")
    saved.write_bytes(content.replace(b'\\"epoch\\": 1', b'\\"epoch\\": 2'))
    with pytest.raises(WeightsError, match=r"is corrupt. Delete it .* digest"):
        read_state(saved, "it")


DAMAGES: dict[str, Callable[[dict[str, Tensor], dict[str, Any]], object]] = {
    "not JSON": lambda tensors, document: '{"identity": "it", ',
    "nothing": lambda tensors, document: "",
    "nested": lambda tensors, document: "[" * 100_000,
    "a list": lambda tensors, document: [document],
    "a number": lambda tensors, document: 3,
    "no identity": lambda tensors, document: document.pop("identity") and None,
    "no records": lambda tensors, document: document.pop("records") and None,
    "records of another type": lambda tensors, document: document.update(records={"a": 1}),
    "a record that is no mapping": lambda tensors, document: document.update(records=[3]),
    "a record without a loss": lambda tensors, document: document["records"][0].pop("loss") and None,
    "a record with more": lambda tensors, document: document["records"][0].update(more=1),
    "a field of another type": lambda tensors, document: document.update(epoch="one"),
    "an unknown field": lambda tensors, document: document.update(speed=3),
    "an unknown group": lambda tensors, document: tensors.update({"others.a": torch.ones(1)}),
    "a tensor without a group": lambda tensors, document: tensors.update({"a": torch.ones(1)}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_named_with_what_to_do(saved: Path, damage: str) -> None:
    rewrite(saved, DAMAGES[damage])
    with pytest.raises(WeightsError, match=r"is corrupt. Delete it to train this part of the run again"):
        read_state(saved, "it")


@pytest.mark.parametrize("kept", [0, 5, 200, -1])
def test_a_cut_state_is_named_with_what_to_do(saved: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"is corrupt. Delete it to train this part of the run again"):
        read_state(saved, "it")


@pytest.mark.parametrize(
    "weights",
    [
        {"weight": torch.ones(2, 3)},
        {"weight": torch.ones(1, 3), "bias": torch.ones(2)},
        {"weight": torch.ones(2, 3), "bias": torch.ones(1)},
    ],
    ids=["missing", "broadcast", "one number"],
)
def test_weights_of_another_shape_are_not_stretched(weights: dict[str, Tensor]) -> None:
    module = nn.Linear(3, 2)
    before = {name: tensor.clone() for name, tensor in trained_tensors(module).items()}
    with pytest.raises(WeightsError, match="does not match the trained weights"):
        load_weights(module, weights)
    assert all(torch.equal(before[name], tensor) for name, tensor in trained_tensors(module).items())


@pytest.mark.parametrize("damage", ["unknown", "shape", "incomplete"])
def test_moments_of_other_weights_are_refused(damage: str) -> None:
    module = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    moments = optimizer_tensors(optimizer, trained_tensors(module))
    load_optimizer(torch.optim.AdamW(module.parameters()), trained_tensors(module), moments)
    if damage == "unknown":
        moments["other/exp_avg"] = torch.ones(1)
    elif damage == "shape":
        moments["bias/exp_avg"] = torch.ones(1)
    else:
        del moments["bias/exp_avg_sq"]
    fresh = torch.optim.AdamW(module.parameters())
    with pytest.raises(WeightsError, match=r"does not match|incomplete"):
        load_optimizer(fresh, trained_tensors(module), moments)
    assert not fresh.state


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("scores.safetensors", lambda content: content[:-9]),
        ("scores.safetensors", lambda content: content[:-1] + bytes([content[-1] ^ 1])),
        ("scores.safetensors", lambda content: content.replace(b"/test", b"/tost")),
        ("metrics.jsonl", lambda content: content[:-9]),
        ("metrics.jsonl", lambda content: b"[1]\n"),
        ("metrics.jsonl", lambda content: content.replace(b'"loss"', b'"lass"')),
        ("metrics.jsonl", lambda content: content.replace(b'"stage"', b'"staga"')),
        ("metrics.jsonl", lambda content: b"\xff\xfe"),
        ("metrics.jsonl", None),
    ],
)
def test_damaged_files_of_a_finished_run_are_named_with_what_to_do(
    finished: Path, train: Any, recipe: Any, data: Any, name: str, damage: Callable[[bytes], bytes] | None
) -> None:
    content = (finished / name).read_bytes()
    try:
        (finished / name).unlink() if damage is None else (finished / name).write_bytes(damage(content))
        with pytest.raises(WeightsError, match=rf"{name} .*corrupt.*(delete it to train again|in another folder)"):
            train(recipe("epochs=1"), [data], finished, resume=True)
    finally:
        (finished / name).write_bytes(content)


@pytest.fixture
def finished(train: Any, recipe: Any, data: Any, tmp_path: Path) -> Path:
    train(recipe("epochs=1"), [data], tmp_path / "run")
    return tmp_path / "run"


def test_a_full_disk_says_how_to_go_on(
    train: Any, recipe: Any, data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(path: Path, target: Path) -> Path:
        if target.parent.name == "state":
            raise OSError(28, os.strerror(28))
        return Path(os.replace(path, target) or target)

    monkeypatch.setattr(Path, "replace", no_room)
    with pytest.raises(FullDiskError, match=r"state/.* cannot be written: No space left.*continue with --resume"):
        train(recipe("epochs=1"), [data], tmp_path / "run", observer=NullObserver())
    monkeypatch.undo()
    train(recipe("epochs=1"), [data], tmp_path / "run", resume=True)
