"""A process that takes the gradient of a CLIP-IQA loss step by step, a step for each line that it reads.

    python -m tests.benchmarks.loss_child KIND FILE HEIGHT WIDTH BATCH

Started by `loss_speed`. KIND is

    ours           `create_metric("clipiqa", as_loss=True)`
    checkpointed   the same with checkpointing=True
    one pair       the straightforward implementation with the paper's pair of prompts
    five pairs     the same with the pairs that pyiqa averages

It prints the loss and the resident memory before the first step; then, for each line, the
seconds of a step, those of the processor, and the peak of the resident memory so far since it was built, in GiB.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor


def main() -> None:
    """Build, then step on demand."""
    kind, file, *sizes = sys.argv[1:]
    height, width, batch = map(int, sizes)
    loss = build(kind, Path(file))
    # Smooth colours: what the pixels are does not matter here, so that no photograph's decoding is measured.
    coarse = torch.rand(batch, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    built = resident("VmRSS")
    print(json.dumps([step(loss, images), built]), flush=True)
    for _ in sys.stdin:
        begin, begin_busy = time.perf_counter(), time.process_time()
        step(loss, images)
        seconds, busy = time.perf_counter() - begin, time.process_time() - begin_busy
        print(json.dumps([seconds, busy, resident("VmHWM")]), flush=True)


def build(kind: str, file: Path) -> Callable[[Tensor], Tensor]:
    """The loss; each kind imports only what it needs."""
    if kind in ("ours", "checkpointed"):
        from perceptmetrics import create_metric

        return create_metric("clipiqa", as_loss=True, backbone_checkpoint=file, checkpointing=kind == "checkpointed")
    from tests.benchmarks.clipiqa_speed import PAPER_PROMPTS, PYIQA_PROMPTS, Straightforward

    peer = Straightforward(PAPER_PROMPTS if kind == "one pair" else PYIQA_PROMPTS, file)
    return lambda images: (1 - peer(images)).mean()


def step(loss: Callable[[Tensor], Tensor], images: Tensor) -> float:
    """The loss; its gradient reaches the pixels."""
    pixels = images.clone().requires_grad_()
    value = loss(pixels)
    value.backward()
    return value.item()


def resident(field: str) -> float:
    """A line of the process's status (Linux), in GiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 2**20


if __name__ == "__main__":
    main()
