"""`clipiqa` as a loss beside the straightforward implementation: time and memory of forward + backward.

    python -m tests.benchmarks.loss_speed [--size 384x512] [--batch 4] [--threads 2] [--repeats 7] [--quick]

The same random RN50 on all sides, gradient to the pixels. Each side is a process of its own; they take turns, step by
step, so that what else the machine does meets all of them. The medians count, of the ratios too, which are those of
steps next to each other. Where other work shares the cores, compare the processor's time with one thread.
"Straightforward" is described in `clipiqa_speed`. Memory is the resident peak of the whole process, and how far that is
above what it held once the loss was built. Linux only. Prints Markdown; asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.support.full_size_clip import random_clip_state

ROOT = Path(__file__).parents[2]
SIDES = {
    "one pair": "straightforward, one pair of prompts",
    "five pairs": "straightforward, five pairs (pyiqa's)",
    "ours": "this package",
    "checkpointed": "this package, `checkpointing=True`",
}


class Side:
    """A running `loss_child`."""

    def __init__(self, kind: str, file: Path, sizes: tuple[int, ...], threads: int) -> None:
        self.seconds: list[float] = []
        self.busy: list[float] = []
        self.peak = 0.0
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.loss_child", kind, str(file), *map(str, sizes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        self.loss, self.built = self._read()

    def step(self) -> None:
        """Do a step, and remember what it took."""
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        seconds, busy, self.peak = self._read()
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
    parser.add_argument("--size", default="384x512", help="height x width")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", choices=SIDES, nargs="+", default=list(SIDES), help="sides to run")
    parser.add_argument("--quick", action="store_true", help="one repetition on small images")
    arguments = parser.parse_args()
    height, width = map(int, ("96x128" if arguments.quick else arguments.size).split("x"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "rn50.safetensors")
        save_file(random_clip_state(), file)
        kinds = [kind for kind in SIDES if kind in arguments.only]
        sides = {kind: Side(kind, file, (height, width, arguments.batch), arguments.threads) for kind in kinds}
        for _ in range(1 if arguments.quick else arguments.repeats):
            for side in sides.values():
                side.step()
    for side in sides.values():
        side.end()
    print(f"{arguments.threads} threads, torch {torch.__version__}, {arguments.batch} images of {height} x {width}.\n")
    table(sides)


def table(sides: dict[str, Side]) -> None:
    """Print time and memory; ratios are to the first side."""
    base = next(iter(sides.values()))
    print("| | seconds | faster | of the processor | faster | peak, GiB | ratio | of it for the step | ratio | loss |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for kind, side in sides.items():
        cells = [f"{statistics.median(side.seconds):.3f}", faster(base.seconds, side.seconds)]
        cells += [f"{statistics.median(side.busy):.3f}", faster(base.busy, side.busy)]
        cells += [f"{side.peak:.2f}", f"{side.peak / base.peak:.2f}x"]
        steps = side.peak - side.built
        cells += [f"{steps:.2f}", f"{steps / (base.peak - base.built):.2f}x"]
        cells.append(f"{side.loss:.6f}")
        print(f"| {SIDES[kind]} | {' | '.join(cells)} |")


def faster(base: list[float], own: list[float]) -> str:
    """Median of the ratios of steps next to each other."""
    return f"{statistics.median(one / other for one, other in zip(base, own, strict=True)):.2f}x"


if __name__ == "__main__":
    main()
