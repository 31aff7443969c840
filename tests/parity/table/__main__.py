"""Run the groups and write `docs/parity.md`; see the package."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from tests.parity.table.cells import Cell

GROUPS = ("rn50", "resnet50", "vit_b", "preference", "vit_l", "perceptclip")
PAGE = Path(__file__).parents[3] / "docs" / "parity.md"
START, END = "<!-- parity:start -->\n", "<!-- end -->"
HEADINGS = ("metric", "beside", "default", "variant", "deviation", "spread", "cause of the difference", "as the paper")


@torch.no_grad()
def cells_of(group: str) -> list[Cell]:
    """The cells of one group, made in this process."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        return importlib.import_module(f"tests.parity.table.{group}").cells(Path(folder))  # type: ignore[no-any-return]


def rows_of(cells: list[Cell]) -> str:
    """The table in Markdown."""
    lines = [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    for one in cells:
        numbers = [f"{value:.0e}" for value in (one.default, one.deviation, one.spread)]
        texts = (f"`{one.metric}`", one.implementation, numbers[0], one.variant, *numbers[1:], one.cause, one.paper)
        lines.append(f"| {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the cells of one group, or write the table of all."""
    if len(sys.argv) > 1:
        print(json.dumps([dataclasses.asdict(one) for one in cells_of(sys.argv[1])]))
        return
    cells = []
    for group in GROUPS:
        done = subprocess.run([sys.executable, "-m", "tests.parity.table", group], stdout=subprocess.PIPE, check=True)
        cells += [Cell(**one) for one in json.loads(done.stdout.splitlines()[-1])]
    before, rest = PAGE.read_text(encoding="utf-8").split(START)
    PAGE.write_text(before + START + rows_of(cells) + END + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
