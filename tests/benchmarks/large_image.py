"""Peak memory and time of scoring one large photograph from its file.

    python -m tests.benchmarks.large_image [--metric clipiqa] [--megapixels 48] [--threads 1] [--loss] [--whole]

The metric has random weights (they cost the same as trained ones). Memory is the peak of the whole process, less the
memory that it took before the image was opened. `--loss` computes the gradient with respect to the pixels too;
`--whole` passes the image through the trunk of `clipiqa` at once, as it was before strips.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from perceptmetrics import create_metric
from perceptmetrics.images.examples import sample_photographs
from perceptmetrics.images.load import load_image

if TYPE_CHECKING:
    from perceptmetrics import Metric


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--metric", default="clipiqa")
    parser.add_argument("--megapixels", type=float, default=48.0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--loss", action="store_true", help="compute the gradient too")
    parser.add_argument("--whole", action="store_true", help="without strips")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    metric = create_metric(arguments.metric, weights=None)
    if arguments.whole:
        metric.encoder.strips = metric.encoder.strips._replace(whole=2**40)
    height = round((arguments.megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(height * 4 / 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "large.jpg")
        sample_photographs()["motorcycle_left"].resize((width, height)).save(path, quality=90)
        metric.score(sample_photographs()["chelsea"])
        before = gib("VmRSS")
        start, cpu = time.perf_counter(), time.process_time()
        score = loss(metric, path) if arguments.loss else metric.score(path).item()
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(
        f"{arguments.metric}{' as a loss' * arguments.loss}, {width} x {height} ({width * height / 1e6:.1f} MP): "
        f"{gib('VmHWM') - before:.2f} GiB over {before:.2f} GiB, {seconds:.1f} s ({cpu:.1f} s of processor time), "
        f"score {score:.4f}"
    )


def loss(metric: Metric, path: Path) -> float:
    """Score an image and compute the gradient of the score with respect to its pixels."""
    image = load_image(path)[None].requires_grad_()
    score = metric(image).sum()
    score.backward()
    return score.item()


def gib(field: str) -> float:
    """Resident memory of this process: `VmRSS` now, `VmHWM` at its peak so far."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{field}:")) / 2**20


if __name__ == "__main__":
    main()
