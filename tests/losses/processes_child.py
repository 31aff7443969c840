"""Takes a gradient in as many processes as started it: `torchrun -m tests.losses.processes_child FILE`."""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch.nn.parallel import DistributedDataParallel

from tests.losses.restoration import DISTRIBUTED, made_loss, network, pictures


def main(path: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    found = {}
    for name in DISTRIBUTED:
        restorer = DistributedDataParallel(network())
        loss = made_loss(name)
        loss(restorer(pictures().chunk(world)[rank])).backward()
        for parameter, tensor in restorer.module.named_parameters():
            found[f"{name} {parameter}"] = tensor.grad.clone()
    # The loss as a part of the model that is wrapped, as some write it.
    model = DistributedDataParallel(torch.nn.Sequential(network(), made_loss("lite_iqa")))
    model(pictures().chunk(world)[rank]).backward()
    for parameter, tensor in model.module[0].named_parameters():
        found[f"inside {parameter}"] = tensor.grad.clone()
    if rank == 0:
        save_file(found, path)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
