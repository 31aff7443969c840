"""PerceptCLIP beside the released way of running it: speed, memory, time to the first score, drift of low precision.

    python -m tests.benchmarks.perceptclip_speed [--only speed|memory|start|drift] [--weights FOLDER] [--threads 2]

The reference is transformers + peft as the release builds it, used with care: evaluation mode, inference mode, all
crops in one batch (`tests/parity/reference_perceptclip.py`). All have the same random weights at full size. Runs
alternate, and the fastest of each counts. Prints Markdown; nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from PIL import Image

from perceptmetrics import MetricSuite, create_metric
from perceptmetrics.images.examples import sample_photographs
from tests.benchmarks.clipiqa_speed import fastest
from tests.benchmarks.perceptclip_drift import drift
from tests.benchmarks.perceptclip_files import (
    EMOTION_METRIC,
    MEMORABILITY_METRIC,
    QUALITY_METRIC,
    PerceptClipFiles,
    perceptclip_files,
)
from tests.parity.reference_perceptclip import emotion, memorability, quality

ROOT = Path(__file__).parents[2]
PARTS = ("speed", "memory", "start", "drift")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="parts to run; all unless stated")
    parser.add_argument("--weights", type=Path, help="folder of the weights, written there once (about 5 GB)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--crops", type=int, default=15, help="crops of quality, where speed is measured")
    parser.add_argument("--fit-images", type=int, default=200)
    parser.add_argument("--drift-images", type=int, default=60)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with perceptclip_files(arguments.weights) as files, tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "photograph.png")
        photograph().save(image)
        print(f"{arguments.threads} threads, torch {torch.__version__}, photograph of 512 x 384, random weights.")
        for part in arguments.only:
            print(f"\n## {part}\n", flush=True)
            if part == "speed":
                quality_speed(files, arguments.crops, arguments.repeats)
                pair_speed(files, arguments.repeats)
            elif part == "memory":
                memory(files, image, arguments.threads)
            elif part == "start":
                start(files, image, arguments.threads, arguments.repeats)
            else:
                drift(files, arguments.fit_images, arguments.drift_images)


def photograph() -> Image.Image:
    """A photograph, 512 pixels wide and 384 high."""
    return sample_photographs()["coffee"].resize((512, 384), Image.Resampling.LANCZOS)


def quality_speed(files: PerceptClipFiles, crops: int, repeats: int) -> None:
    """Seconds per image of quality with so many crops."""
    image, reference, file = photograph(), files.reference(QUALITY_METRIC), files.slim[QUALITY_METRIC]
    forms = {
        "float32": {},
        'precision="int8"': {"precision": "int8"},
        "dtype=torch.bfloat16": {"dtype": torch.bfloat16},
    }
    ours = {label: create_metric(QUALITY_METRIC, checkpoint=file, crops=crops, **form) for label, form in forms.items()}
    difference = abs(quality(reference, image, crops) - ours["float32"].score(image)[0]).item()
    print(f"Quality, {crops} crops; float32 differs from the reference by {difference:.1e}.\n")
    runs = {"reference": lambda: quality(reference, image, crops)} | {
        label: lambda metric=metric: metric.score(image) for label, metric in ours.items()
    }
    aims = {"float32": "at least 1.05x", 'precision="int8"': "at least 1.5x"}
    print_speeds(fastest(runs, repeats), aims)


def pair_speed(files: PerceptClipFiles, repeats: int) -> None:
    """Seconds per image of memorability and emotion together."""
    image = photograph()
    names = (MEMORABILITY_METRIC, EMOTION_METRIC)
    references = [files.reference(name) for name in names]

    def suite(**options: str) -> MetricSuite:
        return MetricSuite([create_metric(name, checkpoint=files.slim[name], **options) for name in names])

    ours = {"float32": suite(), 'precision="int8"': suite(precision="int8")}

    def both() -> tuple[torch.Tensor, torch.Tensor]:
        return memorability(references[0], image), emotion(references[1], image)

    scores = zip(both(), ours["float32"].score(image).values(), strict=True)
    difference = max((theirs - own[0]).abs().max().item() for theirs, own in scores)
    print(f"\nMemorability and emotion in a suite; float32 differs from the reference by {difference:.1e}.\n")
    runs = {"reference, two models": both} | {
        label: lambda metrics=metrics: metrics.score(image) for label, metrics in ours.items()
    }
    print_speeds(fastest(runs, 2 * repeats), {"float32": "at least 1.05x", 'precision="int8"': "at least 1.5x"})


def print_speeds(seconds: dict[str, float], aims: dict[str, str]) -> None:
    """Print seconds; the first entry is the reference."""
    base = next(iter(seconds.values()))
    print("| | seconds per image | reference / this | aim |\n|---|---|---|---|")
    for label, value in seconds.items():
        print(f"| {label} | {value:.2f} | {base / value:.2f}x | {aims.get(label, '')} |", flush=True)


def memory(files: PerceptClipFiles, image: Path, threads: int) -> None:
    """Memory of a process with all three metrics, each of which scored the photograph once."""
    runs = {
        "reference, three models": ("release", files.released),
        "reference, nothing copied": ("frugal", files.released),
        "ours, slim files": ("ours", files.slim),
        "ours, released files, warm cache": ("ours", files.released),
        "ours, slim files, int8": ("int8", files.slim),
    }
    print("All three metrics in one process, one score each, in GiB. Anonymous: at the end, without pages of files.\n")
    print("| | resident peak | share of the first | anonymous | share | aim |\n|---|---|---|---|---|---|")
    base: dict[str, float] = {}
    for label, (kind, paths) in runs.items():
        taken = child(kind, image, paths, threads)[1]
        base = base or taken
        cells = " | ".join(f"{taken[key]:.2f} | {taken[key] / base[key]:.0%}" for key in ("peak", "anonymous"))
        print(f"| {label} | {cells} | {'at most 60 %' if 'ours, s' in label else ''} |", flush=True)


def start(files: PerceptClipFiles, image: Path, threads: int, repeats: int) -> None:
    """Seconds from the start of a process to its first score, files in the page cache."""
    name = MEMORABILITY_METRIC
    runs = {
        "reference, .pth": ("release", files.released[name]),
        "reference, nothing initialised or copied": ("frugal", files.released[name]),
        "ours, slim file": ("ours", files.slim[name]),
        "ours, .pth, warm cache": ("ours", files.released[name]),
    }
    read_once([files.released[name], files.slim[name], *Path(os.environ["PERCEPTMETRICS_CACHE"]).glob("encoders/*")])
    seconds = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):
        for label, (kind, path) in runs.items():
            seconds[label] = min(seconds[label], child(kind, image, {name: path}, threads)[0])
    print("Memorability of one photograph, from the start of the process, imports included; all files in memory.\n")
    print("| | seconds | share of the first | aim |\n|---|---|---|---|")
    base = next(iter(seconds.values()))
    for label, value in seconds.items():
        print(f"| {label} | {value:.2f} | {value / base:.0%} | {'at most 50 %' if 'ours' in label else ''} |")


def read_once(paths: Iterable[Path]) -> None:
    """Bring files into the page cache."""
    for path in paths:
        with path.open("rb") as stream:
            while stream.read(1 << 24):
                pass


def child(kind: str, image: Path, files: dict[str, Path], threads: int) -> tuple[float, dict[str, float]]:
    """Run `perceptclip_child`: seconds until its scores were there, and the memory that it took."""
    program = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.perceptclip_child", kind, str(image)]
    begin = time.perf_counter()
    with subprocess.Popen(
        [*program, *(f"{name}={path}" for name, path in files.items())],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    ) as process:
        assert process.stdout is not None
        scores = json.loads(process.stdout.readline() or "null")
        seconds = time.perf_counter() - begin
        taken = json.loads(process.stdout.readline() or "null")
    if process.returncode or not scores:
        raise RuntimeError(f"The process for {kind} failed with status {process.returncode}.")
    return seconds, taken


if __name__ == "__main__":
    main()
