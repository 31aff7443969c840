"""clipiqa beside the CLIP-IQA of torchmetrics and piq and a straightforward one, all on the same random weights.

    python -m tests.benchmarks.clipiqa_family [--threads 1] [--repeats 7]

torchmetrics' and piq's classes are the installed ones; their downloads (weights, tokens, tokenizer) are replaced by
the random RN50 and by tokens that are computed here, so that nothing is fetched and nothing else is changed.
"Straightforward" is `clipiqa_speed.Straightforward`: text features anew at every call, as pyiqa does. torchmetrics
needs `pip install torchmetrics transformers`; where it is missing, so is its column. Runs alternate; the fastest of
each counts. Memory is the peak of a process of its own, which does nothing but build the metric and score one image.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import open_clip
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from perceptmetrics import create_metric
from perceptmetrics.functional.image import resize
from perceptmetrics.models.prompts import ATTRIBUTES
from tests.benchmarks.clipiqa_speed import PAPER_PROMPTS, Straightforward, fastest, forward
from tests.parity.reference_clipiqa import build_reference
from tests.support.full_size_clip import random_clip_state
from tests.support.photographs import photographs

OURS = "perceptmetrics"
SIXTEEN = [name for name in ATTRIBUTES if name != "aesthetic"]  # those that torchmetrics has too
THEIR_NAMES = {"colorfulness": "colorfullness"}
LARGE = (3000, 4000)
SPEED_AIM, ATTRIBUTES_AIM, MEMORY_AIM = 2.5, 1.05, 0.6


class Torchmetrics:
    """`torchmetrics.multimodal.CLIPImageQualityAssessment` with the given CLIP in the place of piq's download."""

    def __init__(self, state: dict[str, Tensor], attributes: list[str]) -> None:
        from torchmetrics.multimodal import CLIPImageQualityAssessment

        class Processor:
            """What torchmetrics asks of Hugging Face's processor."""

            tokenizer = SimpleNamespace(model_max_length=77)

            def __call__(self, text: list[str]) -> dict[str, list[list[int]]]:
                return {"input_ids": open_clip.tokenize(text).tolist()}

        place = "torchmetrics.multimodal.clip_iqa._get_clip_iqa_model_and_processor"
        with mock.patch(place, return_value=(build_reference(state), Processor())):
            names = tuple(THEIR_NAMES.get(name, name) for name in attributes)
            self.metric = CLIPImageQualityAssessment(prompts=names)

    def __call__(self, images: Tensor) -> Tensor:
        """Score (N,) or (N, K) of images (N, 3, H, W)."""
        scores = self.metric(images)
        self.metric.reset()
        return torch.stack(list(scores.values()), dim=-1) if isinstance(scores, dict) else scores.reshape(-1)


def piq_metric(state: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """`piq.CLIPIQA` with the given CLIP and the tokens of its two prompts."""
    import piq

    with (
        mock.patch("piq.clip_iqa.clip.load", return_value=build_reference(state)),
        mock.patch("piq.clip_iqa.download_tensor", return_value=open_clip.tokenize(PAPER_PROMPTS)),
    ):
        metric = piq.CLIPIQA()
    return lambda images: metric(images).reshape(-1)


def build(name: str, path: Path, attributes: list[str]) -> Callable[[Tensor], Tensor]:
    """A scorer by its name."""
    if name == OURS:
        return create_metric("clipiqa", backbone_checkpoint=path, prompts=attributes)
    if name == "torchmetrics":
        return Torchmetrics(load_file(path), attributes)
    if name == "piq":
        return piq_metric(load_file(path))
    texts = [
        text for attribute in attributes for text in (ATTRIBUTES[attribute].positive, ATTRIBUTES[attribute].negative)
    ]
    return Straightforward(texts, path)


def peers() -> list[str]:
    """The others that can be run here."""
    found = ["torchmetrics"] if importlib.util.find_spec("torchmetrics") else []
    return [*found, "piq", "straightforward"]


def time_small_images(path: Path, repeats: int) -> None:
    """One image and a batch of eight, one pair of prompts."""
    names = [OURS, *peers()]
    scorers = {name: build(name, path, ["quality"]) for name in names}
    images = photographs(384, 512).repeat(2, 1, 1, 1)[:8]
    with torch.inference_mode():
        scores = {name: scorer(images[:2]) for name, scorer in scorers.items()}
    largest = max(float((scores[name] - scores[OURS]).abs().max()) for name in names)
    print(f"largest difference of scores {largest:.1e}\n")
    print(f"{'384 x 512, s':28}" + "".join(f"{name:>24}" for name in names))
    for title, count in (("one image", 1), ("batch of 8", 8)):
        seconds = fastest({name: partial(forward, scorers[name], images[:count]) for name in names}, repeats)
        cells = [f"{seconds[name]:.3f} ({seconds[name] / seconds[OURS]:.2f}x)" for name in names]
        aim = f"   aim: others >= {SPEED_AIM}x" if count == 1 else ""
        print(f"{title:28}" + "".join(f"{cell:>24}" for cell in cells) + aim)


def time_attributes(path: Path, repeats: int) -> None:
    """Sixteen attributes at once beside one."""
    names = [name for name in (OURS, *peers()) if name != "piq"]  # which has one pair
    image = photographs(384, 512)[:1]
    runs = {
        (name, len(attributes)): partial(forward, build(name, path, attributes), image)
        for name in names
        for attributes in (["quality"], SIXTEEN)
    }
    seconds = fastest(runs, repeats)  # type: ignore[arg-type, type-var]
    print("\n16 attributes / one attribute")
    for name in names:
        one, sixteen = seconds[name, 1], seconds[name, len(SIXTEEN)]  # type: ignore[index]
        aim = f"   aim: <= {ATTRIBUTES_AIM}" if name == OURS else ""
        print(f"{name:28}{sixteen:.3f} s / {one:.3f} s = {sixteen / one:.3f}{aim}")


def measure_large(name: str, path: Path, size: tuple[int, int]) -> None:
    """In a process of its own: seconds and peak memory of one large image, as JSON."""
    scorer = build(name, path, ["quality"])
    forward(scorer, photographs(64, 64)[:1])
    image = resize(photographs(96, 128)[:1], size).clamp(0, 1)
    before, start = peak_gib(), time.perf_counter()
    forward(scorer, image)
    print(json.dumps({"seconds": time.perf_counter() - start, "peak": peak_gib(), "before": before}))


def peak_gib() -> float:
    """Peak resident memory of this process; `getrusage` would count what the process that started it took."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 2**20


def compare_large(path: Path, size: tuple[int, int], threads: int) -> None:
    """Time and peak memory of one large image."""
    print(f"\none image of {size[0] * size[1] / 1e6:.0f} MP")
    ours = 0.0
    for name in (OURS, *peers()):
        command = [sys.executable, "-m", "tests.benchmarks.clipiqa_family", "--large", name, "--weights", str(path)]
        command += ["--threads", str(threads), "--size", *map(str, size)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.strip().splitlines()[-1])
        ours = found["peak"] if name == OURS else ours
        share = "" if name == OURS else f", ours / this {ours / found['peak']:.2f}   aim: <= {MEMORY_AIM}"
        peak = f"peak {found['peak']:.2f} GiB ({found['before']:.2f} before the image)"
        print(f"{name:28}{found['seconds']:.1f} s, {peak}{share}")


@contextlib.contextmanager
def weight_file(stated: Path | None) -> Iterator[Path]:
    """The random RN50 on disk."""
    if stated is not None:
        yield stated
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rn50.safetensors")
        save_file(random_clip_state(), path)
        yield path


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--size", type=int, nargs=2, default=LARGE, help="height and width of the large image")
    parser.add_argument("--large", help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    size = (arguments.size[0], arguments.size[1])
    with weight_file(arguments.weights) as path:
        if arguments.large:
            measure_large(arguments.large, path, size)
            return
        print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
        time_small_images(path, arguments.repeats)
        time_attributes(path, arguments.repeats)
        compare_large(path, size, arguments.threads)


if __name__ == "__main__":
    main()
