"""What a suite costs beside one of its metrics: four metrics of CLIP ViT-L/14 at one view, random weights, full size.

    python -m tests.benchmarks.suite_cost [--threads 2] [--repeats 7] [--batch 4]

LAION's two heads, CLIPScore with one prompt, and sixteen attributes of CLIP-IQA; beside CLIPScore alone, on batches of
images of 224 x 224 pixels. Runs alternate, and the fastest of each counts, in processor time.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import torch

from perceptmetrics import Metric, MetricSuite, create_metric, metric_info, register_metric
from perceptmetrics.models.metric_base import MetricBase
from perceptmetrics.spec import AntonymHeadSpec, PromptPair

PROMPT = "a photo of a cat"


def attributes() -> str:
    """Register sixteen pairs of prompts at the view of CLIPScore."""
    pairs = tuple(PromptPair(name=f"a{n}", positive=f"Word {n} photo.", negative=f"No {n} photo.") for n in range(16))
    score = replace(metric_info("clipiqa").score, labels=tuple(pair.name for pair in pairs))
    register_metric(
        replace(metric_info("clip_score"), name="attributes", head=AntonymHeadSpec(pairs=pairs), score=score)
    )
    return "attributes"


def seconds(metric: MetricBase[object], images: torch.Tensor) -> float:
    """Processor time of one batch, which other programs of the machine hardly change."""
    start = time.process_time()
    metric.score_batch(images, [PROMPT] * len(images))
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--batch", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    names = ["laion_aes", "laion_aes_v1", "clip_score", attributes()]
    made: list[Metric] = []
    for name in names:
        metric = create_metric(name, weights=None)
        if made:  # random encoders are equal, but each would lie in memory
            metric.encoder = made[0].encoder
        made.append(metric)
    suite, alone = MetricSuite(made), made[2]
    images = torch.rand(options.batch, 3, 224, 224)
    times: dict[str, list[float]] = {"one": [], "suite": []}
    for _ in range(options.repeats):
        times["one"].append(seconds(alone, images))
        times["suite"].append(seconds(suite, images))
    one, all_ = (min(times[name]) for name in ("one", "suite"))
    print(f"clip_score alone: {1000 * one:.1f} ms for {options.batch} images")
    print(f"{', '.join(names)}: {1000 * all_:.1f} ms, {all_ / one:.3f} x")


if __name__ == "__main__":
    main()
