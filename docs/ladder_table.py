"""Print the table of ladders on the page about lite_iqa, from the predictions of a run on held-out photographs.

python docs/ladder_table.py runs/lite
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from perceptmetrics.datasets.degradations import KINDS


def rows(run: Path) -> list[str]:
    """A row per set of ladders: percentage of adjacent steps in the right order, in brackets without the first step."""
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    with (run / "predictions.csv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["data_set"] == "ladders":
                ladder, _, _ = row["image"].rpartition("/")
                scores[row["split"], ladder].append(float(row["score"]))
    right: dict[tuple[str, str], list[list[bool]]] = defaultdict(list)
    for (_, ladder), rungs in scores.items():
        _, strengths, kind = ladder.rsplit("/", 2)
        right[strengths, kind].append([better > worse for better, worse in pairwise(rungs)])
    found = []
    for strengths in dict.fromkeys(strengths for strengths, _ in right):
        cells = [f"{percentage(right[strengths, kind], 0)} ({percentage(right[strengths, kind], 1)})" for kind in KINDS]
        found.append(f"| {strengths} | {' | '.join(cells)} |")
    return found


def percentage(ladders: list[list[bool]], first: int) -> str:
    """Percentage of the steps in the right order, starting at step `first`."""
    steps = [step for ladder in ladders for step in ladder[first:]]
    return f"{100 * sum(steps) / len(steps):.1f}".removesuffix(".0")


if __name__ == "__main__":
    print(*rows(Path(sys.argv[1])), sep="\n")
