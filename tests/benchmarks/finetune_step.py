"""One training step of PerceptCLIP's quality beside transformers + peft: time and memory.

    python -m tests.benchmarks.finetune_step [--weights FOLDER] [--batch 8] [--threads 2] [--repeats 5]

ViT-L/14 in float32 with random weights, LoRA (rank 16, alpha 8, dropout 0.1) on queries, keys and values, the MLP head
with dropout 0.5, PLCC loss, AdamW: forward, backward, update, on normalised pixels of 224 x 224. Each side is a process
of its own. They take turns, step by step, so that what else the machine does meets all of them. The medians count, of
the ratios too, which are those of steps next to each other. Where other work shares the cores, compare the processor's
time with one thread. Prints Markdown; nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.finetune_child import NAME
from tests.benchmarks.perceptclip_files import perceptclip_files

ROOT = Path(__file__).parents[2]
SIDES = {"reference": "transformers + peft", "ours": "ours", "checkpointed": "ours, `checkpointing = True`"}
AIMS = {"ours": ("at most 0.95x", "at most 0.9x")}


class Side:
    """A running `finetune_child`."""

    def __init__(self, kind: str, file: Path, batch: int, threads: int) -> None:
        self.seconds: list[float] = []
        self.busy: list[float] = []
        self.peak = 0.0
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.finetune_child", kind, str(file), str(batch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        self.loss: float = self._read()

    def step(self, *, counts: bool) -> None:
        """Do a step, and remember how long it took if it counts."""
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        seconds, busy, self.peak = self._read()
        if counts:
            self.seconds.append(seconds)
            self.busy.append(busy)

    def end(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended with status {self._process.wait()}.")
        return json.loads(line)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="folder of the weights, written there once (about 5 GB)")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=SIDES, nargs="+", default=list(SIDES), help="sides to run")
    arguments = parser.parse_args()
    with perceptclip_files(arguments.weights) as files:
        sides = {
            kind: Side(
                kind,
                files.released[NAME] if kind == "reference" else files.slim[NAME],
                arguments.batch,
                arguments.threads,
            )
            for kind in SIDES
            if kind in arguments.only
        }
        for number in range(1 + arguments.repeats):
            for side in sides.values():
                side.step(counts=number > 0)  # the first one also sets up memory and the optimizer
    for side in sides.values():
        side.end()
    print(f"{arguments.threads} threads, torch {torch.__version__}, batch of {arguments.batch}, float32.\n")
    table(sides)


def table(sides: dict[str, Side]) -> None:
    """Print time and memory; the first side is what the others are compared with."""
    base = next(iter(sides.values()))
    print("| median (lowest to highest) | seconds | ratio | of the processor | ratio | aim | loss before |")
    print("|---|---|---|---|---|---|---|")
    for kind, side in sides.items():
        cells = [spread(side.seconds), spread(ratios(side.seconds, base.seconds))]
        cells += [spread(side.busy), spread(ratios(side.busy, base.busy))]
        print(f"| {SIDES[kind]} | {' | '.join(cells)} | {AIMS.get(kind, ('', ''))[0]} | {side.loss:.6f} |")
    print("\n| | resident peak, GiB | ratio | aim |\n|---|---|---|---|")
    for kind, side in sides.items():
        print(f"| {SIDES[kind]} | {side.peak:.2f} | {side.peak / base.peak:.2f} | {AIMS.get(kind, ('', ''))[1]} |")


def ratios(own: list[float], base: list[float]) -> list[float]:
    """Of steps next to each other."""
    return [one / other for one, other in zip(own, base, strict=True)]


def spread(values: list[float]) -> str:
    """Median, lowest and highest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
