"""Trains until it is killed in a stated place: `python -m tests.finetune.killed_child JSON`."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from perceptmetrics.finetune import EpochRecord, StageName, finetune, load_recipe, sealed_files, trainer
from perceptmetrics.finetune.state import NullObserver
from perceptmetrics.weights.tensor_files import save_tensors
from tests.finetune.tiny import hurry, rated


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Killer(NullObserver):
    """Kills the process after a step, or after an epoch."""

    def __init__(self, where: dict[str, Any]) -> None:
        self._where = where

    def step(self, stage: StageName, epoch: int, step: int, steps: int, loss: float) -> None:
        if [stage.stage, epoch, step] == self._where.get("step"):
            die()

    def epoch(self, stage: StageName, record: EpochRecord, best_epoch: int) -> None:
        if [stage.stage, record.epoch] == self._where.get("epoch"):
            die()


def half_written(after: int):
    """Stands for `save_tensors`: one of the states is cut off in the middle."""
    left = after

    def save(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
        nonlocal left
        save_tensors(tensors, path, metadata)
        left -= 1
        if left == 0:
            os.truncate(path, path.stat().st_size // 2)
            die()

    return save


def main(job: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    hurry()
    if job.get("save_each_step"):
        trainer._SAVE_AFTER = -1.0
    if "write" in job:
        sealed_files.save_tensors = half_written(job["write"])
    finetune(
        load_recipe(job["recipe"], job["settings"]),
        [rated(Path(job["pictures"]))],
        job["output"],
        device="cpu",
        backbone_checkpoint=job["encoder"],
        observer=Killer(job),
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
