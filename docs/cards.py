"""Write the cards of metrics and the table of licences from the registry into the pages.

python docs/cards.py
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics import list_metrics, metric_info

if TYPE_CHECKING:
    from perceptmetrics.spec import MetricSpec

DOCS = Path(__file__).parent
CARDS = re.compile(r"<!-- cards: (.+?) -->\n")
LICENCES = "<!-- licences:start -->\n"
END = "<!-- end -->"


def card(spec: MetricSpec) -> str:
    """The card of a metric as a table: what a user should know before relying on it."""
    rows = {
        "meaning": spec.card.summary,
        "range, better": f"{spec.score.range_text}, {'lower' if spec.lower_better else 'higher'} is better",
        "outputs": ", ".join(spec.score.labels),
        "paper": f"[{spec.card.paper}]({spec.card.paper_url})",
        "trained on": spec.card.training_data,
        "limits, bias": spec.card.limits,
        "weights": spec.card.licence,
    }
    lines = [f"**`{spec.name}`**", "", "| | |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {text} |" for name, text in rows.items() if text), "", ""])


def licences() -> str:
    """The table of files, sizes and terms of all metrics."""
    lines = ["| metric | files | terms |", "|---|---|---|"]
    for spec in map(metric_info, list_metrics()):
        encoder = None if spec.encoder.in_trained_file else spec.encoder.weights  # a released file holds its encoder
        files = [file for file in (spec.trained_file, encoder) if file is not None]
        named = "<br>".join(f"`{file.filename}`, {megabytes(file.size)}" for file in files)
        lines.append(f"| `{spec.name}` | {named} | {spec.card.licence} |")
    return "\n".join([*lines, ""])


def megabytes(size: int | None) -> str:
    """A size in megabytes."""
    return "size not known" if size is None else f"{max(0.1, size / 1e6):,.{0 if size > 1e7 else 1}f} MB"


def with_generated(text: str) -> str:
    """A page with the parts that come from the registry."""
    for marker in CARDS.finditer(text):
        cards = "".join(card(metric_info(name)) for name in marker[1].split())
        text = replace_between(text, marker[0], END, cards)
    return replace_between(text, LICENCES, END, licences()) if LICENCES in text else text


def replace_between(text: str, start: str, end: str, content: str) -> str:
    """Replace the content between a start marker and the next end marker."""
    before, rest = text.split(start)
    return before + start + content + end + rest.partition(end)[2]


if __name__ == "__main__":
    for page in DOCS.glob("*.md"):
        page.write_text(with_generated(page.read_text(encoding="utf-8")), encoding="utf-8")
