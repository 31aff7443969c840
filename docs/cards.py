"""Write the cards of metrics and the table of licences from the registry into the pages.

python docs/cards.py
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics import list_metrics, metric_info

if TYPE_CHECKING:
    from perceptmetrics.spec import LicenceSpec, MetricSpec, WeightSource

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
    """The table of all files of weights, with their licences; those that allow commercial use first."""
    metrics: dict[WeightSource, list[str]] = {}
    for spec in map(metric_info, list_metrics()):
        for file in spec.weight_sources:
            metrics.setdefault(file, []).append(f"`{spec.name}`")
    lines = ["| file | size | used by | licence | where it is stated | looked at |", "|---|---|---|---|---|---|"]
    for file in sorted(metrics, key=lambda file: (not licence_of(file).allows_commercial_use, file.location)):
        licence = licence_of(file)
        name = f"`{file.filename}` of `{file.hub_repo or file.python_package}`"
        evidence = re.sub(r"https://([^\s;,)]+)", r"[\1](https://\1)", licence.evidence)
        lines.append(
            f"| {name} | {megabytes(file.size)} | {', '.join(metrics[file])} | {licence.spdx} | {evidence} | "
            f"{licence.checked} |"
        )
    commercial = ", ".join(f"`{name}`" for name in list_metrics(commercial=True))
    return "\n".join([*lines, "", f"Metrics of which all weights allow commercial use: {commercial}.", ""])


def licence_of(file: WeightSource) -> LicenceSpec:
    """The licence of a file of a built-in metric, which states one."""
    assert file.licence is not None
    return file.licence


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
