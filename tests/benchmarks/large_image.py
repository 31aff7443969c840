"""Peak memory and time of scoring one large photograph from its file.

    python -m tests.benchmarks.large_image [--metric clipiqa] [--megapixels 48]

The metric has random weights (they cost the same as trained ones). Memory is the peak of the whole process, less what
it took before the image was opened.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from perceptmetrics import create_metric
from perceptmetrics.images.examples import sample_photographs


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--metric", default="clipiqa")
    parser.add_argument("--megapixels", type=float, default=48.0)
    arguments = parser.parse_args()
    metric = create_metric(arguments.metric, weights=None)
    height = round((arguments.megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(height * 4 / 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "large.jpg")
        sample_photographs()["motorcycle_left"].resize((width, height)).save(path, quality=90)
        metric.score(sample_photographs()["chelsea"])
        before = peak_gib()
        start = time.perf_counter()
        score = metric.score(path).item()
        seconds = time.perf_counter() - start
    print(
        f"{arguments.metric}, {width} x {height} ({width * height / 1e6:.1f} MP): "
        f"{peak_gib() - before:.2f} GiB over {before:.2f} GiB, {seconds:.1f} s, score {score:.4f}"
    )


def peak_gib() -> float:
    """Peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
