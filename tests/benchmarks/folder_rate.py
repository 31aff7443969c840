"""Rate of scoring a folder from disk beside the pure rate of the model on the same images in memory.

    python -m tests.benchmarks.folder_rate [--images 200] [--metric lite_iqa]

Both see the same images in the same batches and alternate; the fastest of each counts. What is left to 100 % is
what reading and decoding could not hide.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from perceptmetrics import create_metric
from perceptmetrics.images.batch import batches_by_size
from perceptmetrics.images.find import find_images
from perceptmetrics.images.load import load_pixels
from perceptmetrics.models.metric import Metric
from perceptmetrics.scoring.stream import score_images
from tests.support.rated_data import data_folder


def main() -> None:
    """Print both rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--metric", default="lite_iqa")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    metric: Metric = create_metric(arguments.metric)
    folder = data_folder("livec/ChallengeDB_release/Images")
    paths = list(find_images([folder], recursive=False))[: arguments.images]
    pixels = list(enumerate(map(load_pixels, paths)))
    model_seconds = folder_seconds = float("inf")
    for _ in range(arguments.repeats):
        model_seconds = min(model_seconds, seconds_of_model(metric, pixels))
        folder_seconds = min(folder_seconds, seconds_of_folder(metric, paths))
    count = len(paths)
    print(f"{arguments.metric}, {count} images of {folder.name}, {torch.get_num_threads()} threads")
    print(f"model alone   {count / model_seconds:6.1f} images/s")
    print(f"from disk     {count / folder_seconds:6.1f} images/s = {100 * model_seconds / folder_seconds:.1f} %")


def seconds_of_model(metric: Metric, pixels: list[tuple[int, torch.Tensor]]) -> float:
    """Seconds to score decoded images."""
    start = time.perf_counter()
    for batch in batches_by_size(pixels):
        metric.score_batch(batch.images)
    return time.perf_counter() - start


def seconds_of_folder(metric: Metric, paths: list[Path]) -> float:
    """Seconds to score files."""
    start = time.perf_counter()
    for _ in score_images([metric], paths):
        pass
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
