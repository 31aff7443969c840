"""Two processes give the value that one process gives for all their images."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from tests.integrations.torchmetrics_child import IMAGES, LABELS, SHARES
from tests.support.mean_colour_metric import tiny_metric

pytestmark = pytest.mark.slow  # each process imports PyTorch


@pytest.fixture(scope="module")
def by_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    ended = subprocess.run(
        [*launch, "-m", "tests.integrations.torchmetrics_child", str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("labels", [(), LABELS])
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("rank", [0, 1])
def test_every_process_has_the_value_of_all_images(by_two, rank, share, reduction, labels):
    first, second = SHARES[share]
    scores = tiny_metric(labels=labels)(IMAGES[[*first, *second]])
    expected = scores.double().mean(dim=0).float() if reduction == "mean" else scores
    value = by_two[rank][share, reduction, len(labels)]
    assert list(value) == list(labels) if labels else value.shape == expected.shape
    torch.testing.assert_close(torch.stack(list(value.values()), dim=-1) if labels else value, expected)


@pytest.mark.parametrize("rank", [0, 1])
def test_the_value_of_a_step_is_that_of_all_processes_and_its_gradient_is_ones_own(by_two, rank):
    value, gradient = by_two[rank]["step"]
    pixels = IMAGES[:2].clone().requires_grad_()
    mean = tiny_metric()(pixels).mean()
    mean.backward()
    torch.testing.assert_close(value, mean.detach())
    torch.testing.assert_close(gradient[0], pixels.grad[rank])


@pytest.mark.parametrize("rank", [0, 1])
def test_a_value_of_one_process_alone_can_be_asked_for(by_two, rank):
    torch.testing.assert_close(by_two[rank]["alone"], tiny_metric()(IMAGES[rank])[0])
