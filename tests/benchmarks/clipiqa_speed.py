"""Speed of clipiqa beside the straightforward implementation, at 384 x 512, same random RN50, one process.

    python -m tests.benchmarks.clipiqa_speed [--threads 2] [--repeats 7]

"Straightforward" is what the widespread implementations do: text features computed anew at every call, batch
normalisation as trained, and the attention pool with every token as a query. It is measured with one pair of
prompts (the paper's) and with the five pairs that pyiqa averages. "Trunk" is the bare folded convolutional network,
the limit of what any implementation on it can reach. Runs alternate, and the fastest of each counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import open_clip
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from perceptmetrics import create_metric
from perceptmetrics.models.metric import Metric
from perceptmetrics.models.prompts import PYIQA_PAIRS
from tests.support.full_size_clip import random_clip_state
from tests.support.photographs import photographs

MEAN = torch.tensor((0.48145466, 0.4578275, 0.40821073))[:, None, None]
STD = torch.tensor((0.26862954, 0.26130258, 0.27577711))[:, None, None]
PAPER_PROMPTS = ["Good photo.", "Bad photo."]
PYIQA_PROMPTS = [text for pair in PYIQA_PAIRS for text in (pair.positive, pair.negative)]


class Straightforward:
    """CLIP-IQA without any thought for speed, on open_clip's unchanged model."""

    def __init__(self, prompts: list[str], file: Path) -> None:
        config = open_clip.get_model_config("RN50")
        self.model = open_clip.CLIP(**config, quick_gelu=True).eval().requires_grad_(False)
        self.model.load_state_dict(load_file(file))
        self.model.visual.attnpool.positional_embedding = torch.nn.Parameter(torch.zeros(1, 2048), requires_grad=False)
        self.prompts = prompts

    def __call__(self, images: Tensor) -> Tensor:
        """Score (N,) of images (N, 3, H, W)."""
        image = self.model.encode_image((images - MEAN) / STD, normalize=True)
        text = self.model.encode_text(open_clip.tokenize(self.prompts), normalize=True)
        logits = self.model.logit_scale.exp() * image @ text.T
        return logits.unflatten(1, (-1, 2)).softmax(dim=-1)[..., 0].mean(dim=1)


def forward(score: Callable[[Tensor], Tensor], images: Tensor) -> None:
    """Score without gradients."""
    with torch.inference_mode():
        score(images)


def forward_and_backward(score: Callable[[Tensor], Tensor], images: Tensor) -> None:
    """Score and take the gradient to the pixels."""
    pixels = images.clone().requires_grad_()
    score(pixels).sum().backward()


def fastest(runs: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Seconds of the fastest repetition of each run; the runs alternate."""
    seconds = {name: float("inf") for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if repeat:  # the first round warms up
                seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rn50.safetensors")
        save_file(random_clip_state(), path)
        ours: Metric = create_metric("clipiqa", backbone_checkpoint=path)
        ours_pyiqa: Metric = create_metric("clipiqa", backbone_checkpoint=path, prompts="pyiqa")
        peers = {"one pair": Straightforward(PAPER_PROMPTS, path), "five pairs": Straightforward(PYIQA_PROMPTS, path)}
        report(ours, ours_pyiqa, peers, arguments.repeats)


def report(ours: Metric, ours_pyiqa: Metric, peers: dict[str, Straightforward], repeats: int) -> None:
    """Check that all agree, then measure and print."""
    images = photographs(384, 512).repeat(2, 1, 1, 1)[:8]
    with torch.inference_mode():
        agreement = max(
            (ours(images[:2]) - peers["one pair"](images[:2])).abs().max().item(),
            (ours_pyiqa(images[:2]) - peers["five pairs"](images[:2])).abs().max().item(),
        )
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}; largest difference of scores {agreement:.1e}")
    print("Seconds, fastest run. In brackets: straightforward / ours.\n")
    print(f"{'':24}{'trunk':>8}{'ours':>8}{'ours/trunk':>12}{'one pair':>18}{'five pairs':>18}")

    def trunk(batch: Tensor) -> Tensor:
        pixels = ours.views(batch)[0].contiguous(memory_format=torch.channels_last)
        features: Tensor = ours.encoder.trunk(pixels)
        return features

    for title, run, count in (
        ("single image", forward, 1),
        ("batch of 8", forward, 8),
        ("forward + backward, 1", forward_and_backward, 1),
        ("forward + backward, 8", forward_and_backward, 8),
    ):
        batch = images[:count]
        scorers = {"trunk": trunk, "ours": ours, **peers}
        runs = {name: partial(run, scorer, batch) for name, scorer in scorers.items()}
        seconds = fastest(runs, repeats)
        cells = "".join(f"{seconds[name]:>10.3f} ({seconds[name] / seconds['ours']:.2f}x)" for name in peers)
        limit = seconds["ours"] / seconds["trunk"]
        print(f"{title:24}{seconds['trunk']:>8.3f}{seconds['ours']:>8.3f}{limit:>12.2f}{cells}")


if __name__ == "__main__":
    main()
