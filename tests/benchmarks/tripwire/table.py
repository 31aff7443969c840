"""What the tripwire finds of breakages on photographs that it never saw, and how often it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
import torch
from scipy.stats import binomtest

from perceptmetrics.images.load import load_pixels
from perceptmetrics.tripwire.exact import fault_of_pixels
from perceptmetrics.tripwire.features import features_of
from perceptmetrics.tripwire.find import check_images
from perceptmetrics.tripwire.head import OUTPUTS, load_head
from tests.benchmarks.tripwire import breakages, data

PHOTOGRAPHS = ("biq2021", "oasis", "savoias")


def verdicts(rows: dict[str, np.ndarray]) -> np.ndarray:
    """The kind of fault found in each row, empty where it was found healthy."""
    head = load_head()
    excess = head(rows["features"]) - head.thresholds
    learned = np.array(list(OUTPUTS.values()))[excess.argmax(1)]
    return np.where(rows["exact"] != "", rows["exact"], np.where(excess.max(1) > 0, learned, ""))


def share(found: np.ndarray) -> str:
    count, total = int(found.sum()), len(found)
    low, high = binomtest(count, total).proportion_ci()
    return f"{count} of {total} | {count / total:.2%} | {low:.1%} to {high:.1%}"


def print_tables(rows: dict[str, np.ndarray]) -> None:
    found = verdicts(rows)
    broken, healthy = rows["kind"] != "", rows["kind"] == ""
    print("| healthy images | false alarms | share | 95 % interval | as |\n|---|---|---|---|---|")
    photographs = healthy & np.isin(rows["source"], PHOTOGRAPHS)
    for name, mask in [
        ("all photographs", photographs),
        *((name, healthy & (rows["source"] == name)) for name in dict.fromkeys(rows["source"][healthy])),
    ]:
        kinds, counts = np.unique(found[mask & (found != "")], return_counts=True)
        as_what = ", ".join(f"{kind} {count}" for kind, count in zip(kinds, counts, strict=True))
        print(f"| {name} | {share(found[mask] != '')} | {as_what} |")
    print("\n| kind | breakage | found | share | 95 % interval | named so |\n|---|---|---|---|---|---|")
    for name, (kind, _) in {**breakages.TRAINING, **breakages.LEFT_OUT}.items():
        mask = rows["breakage"] == name
        left_out = " (left out)" if name in breakages.LEFT_OUT else ""
        named = (found[mask] == kind).mean()
        print(f"| {kind} | {name.replace('_', ' ')}{left_out} | {share(found[mask] != '')} | {named:.0%} |")
    known = np.isin(rows["breakage"], list(breakages.TRAINING))
    hard = np.isin(rows["breakage"], ("swapped_channels", "rotated_channels", "gamma_twice"))
    for name, mask in [
        ("all", broken),
        ("all but swapped channels and gamma", broken & ~hard),
        ("of these, taught breakages", broken & known & ~hard),
        ("of these, left-out breakages", broken & ~known & ~hard),
    ]:
        print(f"| {name} | | {share(found[mask] != '')} | |")


def print_speed(folder: Path) -> None:
    torch.set_num_threads(1)
    for source, file in [data.photographs(folder, training=False)[0], data.photographs(folder, training=True)[-1]]:
        pixels = load_pixels(file).numpy()
        size = f"{source}, {pixels.shape[2]} x {pixels.shape[1]}"
        print(f"{size}: measured {milliseconds(partial(fault_of_pixels, pixels)):.1f} ms of one core")
        print(f"{size}: learned {milliseconds(lambda image=pixels: load_head()(features_of(image)[None])):.1f} ms")
        print(f"{size}: with reading {milliseconds(lambda path=file: list(check_images([path], workers=0))):.1f} ms")


def milliseconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(21):
        start = process_time()
        work()
        times.append(1000 * (process_time() - start))
    return median(times[1:])
