"""Programs beside the metric: speed of PyTorch and of ONNX in three precisions, and how far their scores drift.

    python -m tests.benchmarks.onnx_speed [--quick] [--threads 2] [--images 200] [--data FOLDER]

Drift and rank correlation are those of `lite_iqa` on real photographs, those for calibration apart; speed is also that
of `clipiqa` with random weights at full size. All run in one process and alternate; the fastest run of each counts.
Prints Markdown; nothing is asserted.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from safetensors.torch import save_file
from scipy.stats import spearmanr
from torch import Tensor

from perceptmetrics import Metric, create_metric, load_image
from perceptmetrics.errors import WeightsError
from perceptmetrics.export.programs import export_onnx
from perceptmetrics.functional.image import resize
from perceptmetrics.images.find import find_images
from tests.benchmarks.clipiqa_speed import fastest
from tests.support.full_size_clip import random_clip_state
from tests.support.rated_data import ROOT

PRECISIONS = ("float32", "int8")
SIZE = (384, 512)
CALIBRATION = 32

Run = Callable[[Tensor], Tensor]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few images and repeats, and lite_iqa alone")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--data", type=Path, default=ROOT / "livec", help="folder of photographs")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    count, repeats = (12, 2) if arguments.quick else (arguments.images, arguments.repeats)
    images = read_photographs(arguments.data, count + CALIBRATION)
    calibration, images = images[:CALIBRATION], images[CALIBRATION:]
    print(
        f"{arguments.threads} threads, torch {torch.__version__}, onnxruntime {onnxruntime.__version__}; "
        f"{len(images)} photographs of {SIZE[0]} x {SIZE[1]}, one at a time.\n"
    )
    print("| metric | | MB | speed / PyTorch | largest drift | mean drift | SRCC |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        report(create_metric("lite_iqa"), Path(folder), images, calibration, repeats)
        if not arguments.quick:
            path = Path(folder, "rn50.safetensors")
            save_file(random_clip_state(), path)
            report(create_metric("clipiqa", backbone_checkpoint=path), Path(folder), images[:20], calibration, repeats)


def read_photographs(folder: Path, count: int) -> list[Tensor]:
    """Photographs from all over a folder, at one size, each of shape (1, 3, H, W)."""
    paths = list(find_images([folder]))
    chosen = [paths[place] for place in np.random.default_rng(0).permutation(len(paths))[:count]]
    return [resize(load_image(path)[None], SIZE).clamp(0, 1) for path in chosen]


def report(metric: Metric, folder: Path, images: list[Tensor], calibration: list[Tensor], repeats: int) -> None:
    """Export in each precision, score and measure."""
    programs: dict[str, tuple[Run, float]] = {}
    for precision in PRECISIONS:
        path = folder / f"{metric.metric_name}_{precision}.onnx"
        pictures = [image[0] for image in calibration] if precision == "int8" else None
        try:
            checked = export_onnx(metric, path, size=SIZE, precision=precision, calibration=pictures)
        except WeightsError as error:
            print(f"| {metric.metric_name} | ONNX {precision} | refused: {error} |")
            continue
        programs[precision] = partial(run_session, session(path)), checked.bytes / 1e6
    runs = {"PyTorch": partial(score, metric, images[0])}
    runs |= {precision: partial(run, images[0]) for precision, (run, _) in programs.items()}
    seconds = fastest(runs, repeats)
    expected = torch.cat([score(metric, image) for image in images])
    print(f"| {metric.metric_name} | PyTorch | | 1.00 ({seconds['PyTorch']:.3f} s) | | | |")
    for precision, (run, size) in programs.items():
        scores = torch.cat([run(image) for image in images])
        drift = (scores - expected).abs()
        correlation = spearmanr(scores, expected).statistic
        print(
            f"| {metric.metric_name} | ONNX {precision} | {size:.1f} | {seconds['PyTorch'] / seconds[precision]:.2f} | "
            f"{float(drift.max()):.1e} | {float(drift.mean()):.1e} | {correlation:.4f} |",
            flush=True,
        )


def score(metric: Metric, image: Tensor) -> Tensor:
    """The metric itself."""
    with torch.inference_mode():
        return metric(image)


def session(path: Path) -> onnxruntime.InferenceSession:
    """A session with as many threads as PyTorch has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run_session(session: onnxruntime.InferenceSession, image: Tensor) -> Tensor:
    """The program."""
    return torch.from_numpy(session.run(None, {"images": image.numpy()})[0])


if __name__ == "__main__":
    main()
