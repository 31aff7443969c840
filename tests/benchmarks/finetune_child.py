"""A process that trains PerceptCLIP's quality step by step, a step for each line that it reads.

    python -m tests.benchmarks.finetune_child KIND FILE BATCH

Started by `finetune_step`. KIND is

    ours            this package
    checkpointed    the same with activation checkpointing
    reference       transformers + peft, nothing initialised or copied

It prints the loss without dropout first; then, for each line, the seconds of a step, those of the
processor, and the resident peak so far.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from perceptmetrics.functional.loss import plcc_loss
from tests.benchmarks.perceptclip_child import memory

LEARNING_RATE, WEIGHT_DECAY = 5e-5, 1e-4
NAME = "perceptclip_iqa"


def main() -> None:
    """Build, then train on demand."""
    kind, file, batch = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    model, predict = theirs(file) if kind == "reference" else ours(file, checkpointed=kind == "checkpointed")
    generator = torch.Generator().manual_seed(0)
    pixels, ratings = torch.randn(batch, 3, 224, 224, generator=generator), torch.rand(batch, generator=generator)
    with torch.no_grad():
        print(json.dumps(plcc_loss(predict(pixels), ratings).item()), flush=True)
    model.train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    for _ in sys.stdin:
        begin, begin_busy = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        plcc_loss(predict(pixels), ratings).backward()
        optimizer.step()
        seconds, busy = time.perf_counter() - begin, time.process_time() - begin_busy
        print(json.dumps([seconds, busy, memory()["peak"]]), flush=True)


def ours(file: Path, *, checkpointed: bool) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """This package's metric."""
    from tests.support.unmerged_perceptclip import trainable_parameters, unmerged_metric

    metric = unmerged_metric(file, NAME)
    trainable_parameters(metric)
    if checkpointed:
        metric.encoder.checkpointing = True
    return metric.eval(), lambda pixels: metric.head(metric.encode([pixels])[0])[:, 0]


def theirs(file: Path) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """The reference's model."""
    sys.modules["torchao"] = None  # peft imports it wherever it is installed, and needs it for nothing here
    from tests.parity.reference_perceptclip import load_released

    model = load_released(torch.load(file, weights_only=True)).eval()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in name or name.startswith("mlp."))
    return model, lambda pixels: model(pixels)[:, 0]


if __name__ == "__main__":
    main()
