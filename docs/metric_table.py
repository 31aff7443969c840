"""Write the table of metrics from the registry into README.md.

python docs/metric_table.py
"""

from __future__ import annotations

from pathlib import Path

from perceptmetrics import list_metrics, metric_info

START, END = "<!-- metrics:start -->\n", "<!-- metrics:end -->"
README = Path(__file__).parents[1] / "README.md"


def metric_table() -> str:
    """The table in Markdown."""
    rows: dict[str, list[str]] = {}  # metrics of one meaning stand in one row
    for name in list_metrics():
        spec = metric_info(name)
        better = "lower" if spec.lower_better else "higher"
        row = f"| {spec.card.summary} | {spec.score.range_text} | {better} | {spec.card.licence} |"
        rows.setdefault(row, []).append(f"`{name}`")
    lines = ["| metric | meaning of the score | range | better | weights |", "|---|---|---|---|---|"]
    lines += [f"| {', '.join(names)} {row}" for row, names in rows.items()]
    return "\n".join(lines) + "\n"


def with_table(text: str) -> str:
    """A document with the table between its markers."""
    before, rest = text.split(START)
    return before + START + metric_table() + END + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
