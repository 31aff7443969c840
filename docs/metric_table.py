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
    lines = ["| metric | meaning of the score | range | better | weights |", "|---|---|---|---|---|"]
    for name in list_metrics():
        spec = metric_info(name)
        better = "lower" if spec.lower_better else "higher"
        lines.append(f"| `{name}` | {spec.card.summary} | {spec.score.range_text} | {better} | {spec.card.licence} |")
    return "\n".join(lines) + "\n"


def with_table(text: str) -> str:
    """A document with the table between its markers."""
    before, rest = text.split(START)
    return before + START + metric_table() + END + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
