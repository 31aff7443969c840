"""Trains every case, in as many processes as started it: `torchrun -m tests.finetune.processes_child JSON`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from perceptmetrics.finetune import finetune, load_recipe
from tests.finetune.cases import CASES, data_sets
from tests.finetune.tiny import hurry


def main(job: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    hurry()
    for name in job["cases"]:
        finetune(
            load_recipe(job["recipe"], CASES[name].settings),
            data_sets(CASES[name].data, Path(job["pictures"]), Path(job["few"])),
            Path(job["output"], name.replace(" ", "_")),
            device="cpu",
            backbone_checkpoint=job["encoder"],
        )
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
