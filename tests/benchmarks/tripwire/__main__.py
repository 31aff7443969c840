"""The recipe of the tripwire's learned part, and its tables.

    python -m tests.benchmarks.tripwire train --data ../shared/data
    python -m tests.benchmarks.tripwire table --data ../shared/data
    python -m tests.benchmarks.tripwire speed --data ../shared/data

`train` draws breakages from the photographs of LIVEC and of `photos`, and writes the weights of the package; rerun on
the same machine it writes the same bytes. Features of images are kept in `--cache`; delete it after a change of what is
drawn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from perceptmetrics.tripwire.head import WEIGHTS
from tests.benchmarks.tripwire import data
from tests.benchmarks.tripwire.table import print_speed, print_tables
from tests.benchmarks.tripwire.train import train

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=("train", "table", "speed"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("tripwire_features"))
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.work == "train":
        train(data.features(given.cache / "training.npz", lambda: data.training_rows(given.data)), given.output)
    elif given.work == "table":
        print_tables(data.features(given.cache / "test.npz", lambda: data.test_rows(given.data)))
    else:
        print_speed(given.data)
