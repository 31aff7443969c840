"""Rate of the engine on Ray beside that of one process, on the same images and processors.

    python -m tests.benchmarks.ray_rate [--images 1200] [--cpus 2] [--quick] [--price 0.04]

One process has as many threads as there are processors; Ray has as many actors with one thread each. They alternate,
and the fastest of each counts. A rate is that after the first 128 images, when everything has started; beside it
stands the whole time from the start on. The last lines work out what 100 million such images cost.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from perceptmetrics import create_metric
from perceptmetrics.images.batch import window_size
from perceptmetrics.images.sources import Part, find_parts, read_part
from perceptmetrics.integrations.ray import Actors, score_parts
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import score_images
from tests.support.rated_data import data_folder

BATCH_SIZE = 8
WARM = 128
MANY = 100_000_000


def main() -> None:
    """Print both rates, their ratio, and the cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1200)
    parser.add_argument("--metric", default="lite_iqa")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--price", type=float, default=0.04, help="of a processor for an hour")
    parser.add_argument("--quick", action="store_true", help="few images, once: to see that it runs")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.images, arguments.repeats = 3 * WARM, 1
    torch.set_num_threads(arguments.cpus)
    with tempfile.TemporaryDirectory() as folder:
        parts = linked(Path(folder), arguments.images)
        best = {"one process": (0.0, float("inf")), "Ray": (0.0, float("inf"))}
        for _ in range(arguments.repeats):
            for engine, rows in (
                ("one process", local_rows(arguments.metric, parts)),
                ("Ray", ray_rows(arguments.metric, parts, arguments.cpus)),
            ):
                rate, seconds = timed(rows)
                best[engine] = max(best[engine][0], rate), min(best[engine][1], seconds)
    print(f"{arguments.metric}, {arguments.images} images, {arguments.cpus} processors")
    for engine, (rate, seconds) in best.items():
        ratio = rate / best["one process"][0]
        print(f"{engine:12} {rate:7.1f} images/s ({ratio:.2f}x)   {seconds:6.1f} s with the start")
    per_image = arguments.cpus / best["Ray"][0]
    hours = MANY * per_image / 3600
    print(f"\n{per_image:.4f} processor seconds an image on Ray; {MANY:,} images: {hours:,.0f} processor hours,")
    print(f"{hours * arguments.price:,.0f} at {arguments.price:g} an hour")


def linked(folder: Path, count: int) -> list[Part]:
    """Parts with so many names of the photographs of LIVE In the Wild."""
    photographs = sorted(data_folder("livec/ChallengeDB_release/Images").glob("*.*"))
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        target = folder / f"{number:06d}{photograph.suffix}"
        try:
            os.link(photograph, target)
        except OSError:  # another file system
            target.symlink_to(photograph.resolve())
    return list(find_parts([folder], part_size=2 * window_size(BATCH_SIZE)))


def local_rows(metric: str, parts: list[Part]) -> Iterator[ScoredImage]:
    """Rows of this process; the metric is created when the first is asked for, as on Ray."""
    images = (image for part in parts for image in read_part(part))
    yield from score_images([create_metric(metric)], images, batch_size=BATCH_SIZE)


def ray_rows(metric: str, parts: list[Part], actors: int) -> Iterator[ScoredImage]:
    """Rows of actors with one thread each."""
    return score_parts({metric: {}}, parts, actors=Actors(count=actors), batch_size=BATCH_SIZE)


def timed(rows: Iterator[ScoredImage]) -> tuple[float, float]:
    """Images a second after the first ones, and seconds for all."""
    start = warm = time.perf_counter()
    count = 0
    for count, _ in enumerate(rows, 1):
        if count == WARM:
            warm = time.perf_counter()
    end = time.perf_counter()
    return (count - WARM) / (end - warm), end - start


if __name__ == "__main__":
    main()
