"""Updates metrics in as many processes as started it: `torchrun -m tests.integrations.torchmetrics_child FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import distributed

from perceptmetrics.integrations.torchmetrics import PerceptualMetric
from tests.support.mean_colour_metric import tiny_metric

LABELS = ("joy", "fear", "awe")
IMAGES = torch.rand((7, 3, 6, 5), generator=torch.Generator().manual_seed(0))
SHARES = {"uneven": ([0, 1, 2, 3, 4], [5, 6]), "one has none": ([0, 1, 2], [])}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    results = {}
    for name, shares in SHARES.items():
        for reduction in ("mean", "none"):
            for labels in ((), LABELS):
                metric = PerceptualMetric(tiny_metric(labels=labels), reduction)
                for place in shares[rank]:
                    metric.update(IMAGES[place : place + 1])
                metric._update_count = max(1, metric._update_count)  # no warning of a process without images
                results[name, reduction, len(labels)] = metric.compute()
    on_step = PerceptualMetric(tiny_metric(), dist_sync_on_step=True)
    pixels = IMAGES[rank : rank + 1].clone().requires_grad_()
    value = on_step(pixels)
    value.backward()
    results["step"] = value.detach(), pixels.grad
    alone = PerceptualMetric(tiny_metric(), sync_on_compute=False)
    alone.update(IMAGES[rank : rank + 1])
    results["alone"] = alone.compute()
    torch.save(results, folder / f"{rank}.pt")
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
