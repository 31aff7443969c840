"""Two processes train what one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from safetensors.torch import load_file

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.finetune.processes import training_processes
from tests.finetune.cases import CASES, data_sets
from tests.finetune.tiny import epochs_of, tiny_recipe

EPOCHS = "epochs=2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def by_two(folder, pictures, few_pictures, encoder):
    """Folder of the runs of two processes, each with the recipe's settings of its case."""
    tiny_recipe(folder)
    text = (folder / "tiny.yaml").read_text().replace("epochs: 3", "epochs: 2")
    (folder / "tiny.yaml").write_text(text)
    job = {"cases": list(CASES), "recipe": str(folder / "tiny.yaml"), "output": str(folder / "two")}
    job |= {"pictures": str(pictures), "few": str(few_pictures), "encoder": str(encoder)}
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    ended = subprocess.run(
        [*launch, "-m", "tests.finetune.processes_child", json.dumps(job)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    return folder / "two"


@pytest.mark.slow  # each process imports PyTorch
@pytest.mark.parametrize("name", CASES)
def test_two_processes_train_what_one_does(name, by_two, folder, train, pictures, few_pictures):
    case, mine = CASES[name], by_two / name.replace(" ", "_")
    recipe = tiny_recipe(folder / "..", EPOCHS, *case.settings)
    result = train(recipe, data_sets(case.data, pictures, few_pictures), folder / "one" / name.replace(" ", "_"))
    for one, two in zip(epochs_of(result.folder), epochs_of(mine), strict=True):
        assert one.keys() == two.keys()
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-4, abs=1e-6)
        assert two["lr"] == one["lr"]
    for path in result.folder.rglob("model.safetensors"):
        ours, theirs = load_file(path), load_file(mine / path.relative_to(result.folder))
        assert ours.keys() == theirs.keys()
        for tensor in ours:
            torch.testing.assert_close(
                theirs[tensor], ours[tensor], rtol=1e-3, atol=2e-5, msg=lambda m, t=tensor: f"{t}: {m}"
            )


def test_runs_of_one_process_may_differ_in_precision_and_device():
    for precision, device in [("float32", "cpu"), ("bfloat16", "cpu"), ("float32", None), ("bfloat16", "cpu")]:
        with training_processes(device, precision) as processes:
            assert processes.world == 1


def test_float16_on_a_processor_is_refused():
    with pytest.raises(InvalidOptionError, match="needs a GPU"), training_processes("cpu", "float16"):
        pass


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_device_that_is_not_there_is_refused():
    with pytest.raises(InvalidOptionError, match="no device 'cuda'"), training_processes("cuda", "float32"):
        pass


@pytest.fixture
def accelerator():
    """The caller's own, which differs from that of every run here."""
    states = (AcceleratorState, PartialState, GradientState)
    for state in states:
        state._shared_state.clear()
    yield Accelerator(cpu=True, mixed_precision="bf16", gradient_accumulation_steps=4)
    for state in states:
        state._shared_state.clear()


def settings_of(accelerator):
    number = accelerator.gradient_state.num_steps
    return accelerator.mixed_precision, accelerator.gradient_accumulation_steps, number, accelerator.device.type


def test_the_callers_accelerator_is_left_as_it_was(accelerator, train, recipe, data, tmp_path):
    before = settings_of(accelerator)
    assert before == ("bf16", 4, 4, "cpu")
    train(recipe(EPOCHS), [data], tmp_path / "run")
    assert settings_of(accelerator) == before
    Accelerator(cpu=True, mixed_precision="bf16")  # accelerate refuses a second one that differs from the first


def test_the_callers_accelerator_is_left_as_it_was_by_a_run_that_fails(accelerator, train, recipe, data, tmp_path):
    before = settings_of(accelerator)
    with pytest.raises(InvalidOptionError, match="needs a GPU"):
        train(recipe("precision=float16"), [data], tmp_path / "run")
    assert settings_of(accelerator) == before


def test_bfloat16_trains(train, recipe, data, tmp_path):
    result = train(
        recipe("precision=bfloat16", "train=lora", "lora={rank: 2, alpha: 4}", "head_first=true"),
        [data],
        tmp_path / "run",
    )
    assert all(abs(line["loss"]) < 1 for line in epochs_of(result.folder))
