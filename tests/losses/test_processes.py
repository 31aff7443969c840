"""Two processes with DistributedDataParallel give the gradient of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.losses.restoration import DISTRIBUTED, gradients, made_loss, network, pictures

pytestmark = pytest.mark.slow  # each process imports PyTorch

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def by_two(tmp_path_factory):
    """Gradients of the first of two processes, each with half of the pictures."""
    path = tmp_path_factory.mktemp("processes") / "gradients.safetensors"
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    ended = subprocess.run(
        [*launch, "-m", "tests.losses.processes_child", str(path)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    return load_file(path)


@pytest.mark.parametrize("kind", [*DISTRIBUTED, "inside"])
def test_two_processes_give_the_gradient_of_one(kind, by_two):
    restorer = network()
    made_loss("lite_iqa" if kind == "inside" else kind)(restorer(pictures())).backward()
    names = [name for name, _ in restorer.named_parameters()]
    for name, expected in zip(names, gradients(restorer), strict=True):
        torch.testing.assert_close(by_two[f"{kind} {name}"], expected, rtol=1e-3, atol=1e-6)
