"""A small data set trained together with a large one: does the small one gain, and do its samples in a batch matter?

    python -m tests.benchmarks.joint_training --livec ChallengeDB_release --biq biq2021 [--images 60] [--splits 3]

The small set is LIVE In the Wild with only some of its training images, the large one BIQ2021; the test images are
those of the usual 80/20 splits. The head of `lite_livec` is trained on its frozen encoder, which sees images at a short
side of 160 pixels, with the loss PLCC and batches of 32: alone; together with batches in proportion, in which the small
set has one or two samples, of which PLCC has no gradient (the checks that refuse this are switched off); and together
with at least eight samples of it, as recipes have it. Prints Markdown: the median SRCC on the test images of both sets,
with the lowest and highest, and in how many splits training together is better.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from perceptmetrics.datasets import LabelledImages, load_dataset, make_splits
from perceptmetrics.finetune import finetune, load_recipe
from perceptmetrics.finetune.data import batches

LARGE = "data=[{name: livec}, {name: csv}]"
BASE = (
    "batch_size=32",
    "epochs=40",
    "warmup=20",
    "views=[{kind: resized, size: 160}]",  # which takes minutes instead of an hour
    "augmentation={replicas: 1}",
)
WAYS = {
    "alone": ("data=livec",),
    "together, in proportion (1 or 2 samples)": (LARGE, "heads=shared", "min_samples=1"),
    "together, at least 8 samples": (LARGE, "heads=shared"),
}


def small_set(folder: str, images: int, splits: int) -> LabelledImages:
    """LIVE In the Wild, of whose training images only the first in random order are trained on."""
    whole = load_dataset("livec", folder, missing="skip")
    parts = make_splits(whole, splits, validation=0)
    orders = [np.random.default_rng(number).permutation(part.train) for number, part in enumerate(parts)]
    few = [replace(part, train=np.sort(order[:images])) for part, order in zip(parts, orders, strict=True)]
    return replace(whole, official_splits=tuple(few))


def main() -> None:
    """Train in each way and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--livec", required=True)
    parser.add_argument("--biq", required=True)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--splits", type=int, default=3)
    options = parser.parse_args()
    small = small_set(options.livec, options.images, options.splits)
    large = load_dataset("csv", options.biq, columns=["mos"], group_column="group", lower=0, upper=1)
    labelled = replace(large, labels=small.labels)  # one head needs one name
    large = replace(labelled, official_splits=make_splits(labelled, options.splits, validation=0))
    batches.COMPARABLE = batches.NOISY = 1  # train what recipes refuse, to see what it does
    found: dict[str, dict[str, list[float]]] = {}
    for way, settings in WAYS.items():
        recipe = load_recipe("lite_livec", [f"splits.count={options.splits}", *BASE, *settings])
        used = [small, large][: len(recipe.data)]
        with tempfile.TemporaryDirectory() as folder:
            result = finetune(recipe, used, Path(folder) / "run", device="cpu")
        found[way] = {one.name: result.values(one.name, small.labels[0], "srcc") for one in used}
    alone = np.array(found["alone"]["livec"])
    print(f"| trained | LIVE In the Wild ({options.images} images) | BIQ2021 | better than alone |\n|---|---|---|---|")
    for way, values in found.items():
        own = np.array(values["livec"])
        cells = [f"{np.median(of_one):.3f} [{min(of_one):.3f}, {max(of_one):.3f}]" for of_one in values.values()]
        better = "" if way == "alone" else f"{(own > alone).sum()} of {len(own)} splits"
        print(f"| {way} | {cells[0]} | {cells[1] if len(cells) > 1 else ''} | {better} |")


if __name__ == "__main__":
    main()
