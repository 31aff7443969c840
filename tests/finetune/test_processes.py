"""Two processes train what one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.finetune.processes import Processes
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
        assert Processes(device, precision).world == 1


def test_float16_on_a_processor_is_refused():
    with pytest.raises(InvalidOptionError, match="needs a GPU"):
        Processes("cpu", "float16")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_device_that_is_not_there_is_refused():
    with pytest.raises(InvalidOptionError, match="'cuda' is not there"):
        Processes("cuda", "float32")


def test_bfloat16_trains(train, recipe, data, tmp_path):
    result = train(
        recipe("precision=bfloat16", "train=lora", "lora={rank: 2, alpha: 4}", "head_first=true"),
        [data],
        tmp_path / "run",
    )
    assert all(abs(line["loss"]) < 1 for line in epochs_of(result.folder))
