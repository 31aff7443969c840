"""What a score costs: milliseconds and megabytes of each metric, for `docs/choose.md`.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.cost

One photograph of 512 x 384 pixels, on one thread, in float32, with random weights of full size. Milliseconds are those
of processor time, so that a busy machine changes them little; the fastest of a few runs counts. Megabytes are those of
the tensors in memory, with texts encoded. Metrics of one encoder and the same views cost the same and are measured
once.
"""

from __future__ import annotations

import csv
import gc
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from perceptmetrics import create_metric, list_metrics, metric_info
from perceptmetrics.metrics import lite
from tests.support.photographs import photographs

RESULTS = Path(__file__).parents[2] / "docs" / "cost.csv"
RUNS, LONGEST = 3, 3.0  # runs, and seconds after which none is begun


def measure(name: str) -> tuple[float, float]:
    """Milliseconds of processor time of the fastest run, and megabytes."""
    torch.set_num_threads(1)
    metric = create_metric(name, weights=None)
    image = photographs(384, 512)[:1]
    prompts = ["A photo."] if metric.reads_prompts else None
    seconds: list[float] = []
    while len(seconds) < RUNS and sum(seconds) < LONGEST:
        start = time.process_time()
        metric.score(image, prompts)
        seconds.append(time.process_time() - start)
    tensors = {tensor.data_ptr(): tensor for tensor in metric.state_dict().values()}
    return 1e3 * min(seconds), sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) / 1e6


def main() -> None:
    """Measure all metrics and write the table."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        sys.exit("Set OMP_NUM_THREADS=1: the figures are those of one thread.")
    measured: dict[str, tuple[float, float]] = {}
    rows = []
    for name in list_metrics():
        spec = metric_info(name)
        same = repr((replace(spec.encoder, weights=lite.EFFICIENTNET_LITE0_WEIGHTS), spec.views, type(spec.head)))
        if same not in measured:
            measured[same] = measure(name)
            gc.collect()
        milliseconds, megabytes = measured[same]
        rows.append((name, f"{milliseconds:,.0f}", f"{megabytes:,.0f}"))
        print(*rows[-1], flush=True)
    with RESULTS.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([("metric", "milliseconds", "megabytes"), *rows])


if __name__ == "__main__":
    main()
