"""How fast embeddings are scored: `score_features` on an array, and the command from a file to a file.

    python -m tests.benchmarks.embedding_rate --rows 1000000

Rows of unit length, 768 numbers in half precision; LAION's second head with random weights, of five linear layers.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from perceptmetrics import create_metric
from perceptmetrics.metrics.laion_aes import LAION_AES
from perceptmetrics.models.heads import MlpHead
from perceptmetrics.weights.tensor_files import save_tensors

WIDTH, PART = 768, 50_000


def write_rows(path: Path, count: int) -> None:
    """Random directions."""
    rows = np.lib.format.open_memmap(path, "w+", np.float16, (count, WIDTH))
    random = np.random.default_rng(0)
    for first in range(0, count, PART):
        part = random.standard_normal((min(PART, count - first), WIDTH), dtype=np.float32)
        rows[first : first + PART] = part / np.linalg.norm(part, axis=1, keepdims=True)


def _report(what: str, count: int, seconds: float, cpu: float) -> None:
    print(f"{what}: {count:,} rows in {seconds:.1f} s, {cpu:.1f} s of processor time")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    count = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        file, head, output = Path(folder, "rows.npy"), Path(folder, "head.safetensors"), Path(folder, "scores.csv")
        write_rows(file, count)
        torch.manual_seed(0)
        published = LAION_AES.head.layout
        state = list(MlpHead(LAION_AES.head).state_dict().values())
        names = [name for pair in zip(published.weights, published.biases, strict=True) for name in pair]
        save_tensors(dict(zip(names, state, strict=True)), head)
        metric = create_metric("laion_aes", embeddings_only=True, checkpoint=head)
        rows = np.load(file, mmap_mode="r")
        start, begun = time.perf_counter(), time.process_time()
        metric.score_features(rows, normalized=True)
        _report("score_features", count, time.perf_counter() - start, time.process_time() - begun)
        command = ["score", "--embeddings", file, "-m", "laion_aes", "--checkpoint", head, "-o", output]
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "perceptmetrics", *command], check=True, stderr=subprocess.DEVNULL)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        _report("score --embeddings", count, time.perf_counter() - start, used.ru_utime + used.ru_stime)


if __name__ == "__main__":
    main()
