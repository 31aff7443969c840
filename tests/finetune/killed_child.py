"""Trains until it is killed in a stated place, a process for each place: `python -m tests.finetune.killed_child JSON`.

The processes are forks of one that has imported all; their exit statuses are printed.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

from perceptmetrics.finetune import EpochRecord, StageName, finetune, load_recipe
from perceptmetrics.finetune.training import sealed_files, trainer
from perceptmetrics.finetune.training.epochs import NullObserver
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


def train(job: dict[str, Any]) -> None:
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


def status_of(job: dict[str, Any]) -> int:
    """Train in another process; as `subprocess` tells how it ended."""
    process = os.fork()
    if process == 0:
        try:
            train(job)
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


if __name__ == "__main__":
    gc.collect()
    gc.freeze()
    print(json.dumps([status_of(job) for job in json.loads(sys.argv[1])]))
