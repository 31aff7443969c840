"""Print the tables on the page about lite_attributes, from the predictions of a run on held-out photographs.

python docs/attributes_table.py runs/attributes
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from statistics import mean

from perceptmetrics.datasets.degradations import ALL_KINDS
from perceptmetrics.datasets.ladder_attributes import ATTRIBUTES, OWN_ATTRIBUTE

Scores = dict[tuple[str, str, str], dict[str, list[float]]]
"""By split, data set and ladder: for each attribute the scores of its rungs."""


def read_scores(run: Path) -> Scores:
    """The scores of all held-out ladders."""
    scores: Scores = defaultdict(lambda: defaultdict(list))
    with (run / "predictions.csv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            ladder, _, _ = row["image"].rpartition("/")
            scores[row["split"], row["data_set"], ladder][row["label"]].append(float(row["score"]))
    return scores


def order_table(scores: Scores) -> list[str]:
    """A row per kind: percentage of adjacent steps in the right order, in brackets without the first; then ladders."""
    right: dict[tuple[str, str], list[list[bool]]] = defaultdict(list)
    for (_, data_set, ladder), rungs in scores.items():
        kind = kind_of(ladder)
        right[data_set, kind].append([better > worse for better, worse in pairwise(rungs[OWN_ATTRIBUTE[kind]])])
    sets = sorted({data_set for data_set, _ in right})
    lines = [f"| ladder | attribute | {' | '.join(sets)} |", f"|{'---|' * (len(sets) + 2)}"]
    for kind in ALL_KINDS:
        cells = [order_cell(right[data_set, kind]) for data_set in sets]
        lines.append(f"| {kind} | {OWN_ATTRIBUTE[kind]} | {' | '.join(cells)} |")
    return lines


def order_cell(ladders: list[list[bool]]) -> str:
    """Percentage of the steps in the right order, without the first step, and the number of ladders."""
    every = [step for ladder in ladders for step in ladder]
    later = [step for ladder in ladders for step in ladder[1:]]
    return f"{100 * mean(every):.1f} ({100 * mean(later):.1f}), {len(ladders)}"


def change_table(scores: Scores) -> list[str]:
    """A row per kind: mean change of each score from the photograph to the strongest degradation; its own in bold."""
    changes: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (_, _, ladder), rungs in scores.items():
        for attribute, values in rungs.items():
            changes[kind_of(ladder), attribute].append(values[-1] - values[0])
    lines = [f"| ladder | {' | '.join(ATTRIBUTES)} |", f"|{'---|' * (len(ATTRIBUTES) + 1)}"]
    for kind in ALL_KINDS:
        cells = {name: f"{mean(changes[kind, name]):+.2f}" for name in ATTRIBUTES}
        cells[OWN_ATTRIBUTE[kind]] = f"**{cells[OWN_ATTRIBUTE[kind]]}**"
        lines.append(f"| {kind} | {' | '.join(cells.values())} |")
    return lines


def kind_of(ladder: str) -> str:
    """Kind of degradation of a ladder."""
    return ladder.rpartition("/")[2].rstrip("0123456789")


if __name__ == "__main__":
    found = read_scores(Path(sys.argv[1]))
    print(*order_table(found), "", *change_table(found), sep="\n")
