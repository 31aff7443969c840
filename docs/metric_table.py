"""Write the tables of metrics by purpose: the short one of README.md, the long one of docs/choose.md.

python docs/metric_table.py

What a metric is, its range, licence, training data and limits come from the registry; milliseconds and megabytes from
`docs/cost.csv`, which `OMP_NUM_THREADS=1 python -m tests.benchmarks.cost` measures; figures are published ones.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics import list_metrics, metric_info

if TYPE_CHECKING:
    from perceptmetrics.spec import MetricSpec

START, END = "<!-- metrics:start -->\n", "<!-- metrics:end -->"
DOCS = Path(__file__).parent
README, PAGE = DOCS.parent / "README.md", DOCS / "choose.md"

# Purpose, what the score says, and metrics for it, the first choice first.
PURPOSES = {
    "photographs": (
        "technical quality as people rate it",
        ("lite_iqa", "clipiqa", "arniqa", "arniqa-clive", "arniqa-spaq", "arniqa-flive", "clip_uiqa", "maclip",
         "clipiqa+", "clipiqa+_rn50_512", "clipiqa+_vitL14_512", "liqe", "perceptclip_iqa", "qualiclip"),
    ),
    "restoration": (
        "degradations; also as a loss",
        ("arniqa-kadid", "arniqa-tid", "arniqa-live", "arniqa-csiq", "lite_iqa", "clipiqa", "liqe_mix", "qualiclip"),
    ),
    "attributes": (
        "how sharp, clean, well exposed, colourful",
        ("lite_attributes", 'clipiqa, prompts=["sharpness"]'),
    ),
    "generated images": (
        "which image of a prompt people prefer",
        ("hpsv2.1", "laion_aes", "pickscore"),
    ),
    "prompts": ("whether an image shows what its text says", ("clip_score", "hpsv2.1", "pickscore")),
    "dataset curation": (
        "beauty, or fit with a caption, of millions of images",
        ("laion_aes", "laion_aes_v1", "laion_aes_v1_b16", "laion_aes_v1_b32", "clip_score", "lite_iqa"),
    ),
    "memorability": ("fraction of people who remember the image", ("vitmem", "perceptclip_mem")),
    "emotion": ("emotions that the image evokes", ('clipiqa, prompts=["happy"]', "perceptclip_emo")),
    "aesthetics": (
        "how beautiful people find the image",
        ("laion_aes", "laion_aes_v1", 'clipiqa, prompts=["aesthetic"]'),
    ),
}  # fmt: skip

CLIP_IQA = "[paper, Table 1](https://arxiv.org/abs/2207.12396)"
PYIQA_NR = "[measured by pyiqa](https://github.com/chaofengc/IQA-PyTorch/blob/01ae427/tests/NR_benchmark_results.csv)"
PYIQA_IAA = "[measured by pyiqa](https://github.com/chaofengc/IQA-PyTorch/blob/01ae427/tests/IAA_benchmark_results.csv)"
HPSV2 = "[HPSv2's README](https://github.com/tgxs002/HPSv2/blob/866735e/README.md)"
LIQE = "[LIQE's README](https://github.com/zwx8981/LIQE/blob/a64655f/README.md)"
PERCEPTCLIP = "[paper](https://arxiv.org/abs/2503.13260)"
FIGURES = {
    "lite_iqa": "SRCC LIVE-itW .782 (ten splits), BIQ2021 .641 (never trained on): [measured here](lite_iqa.md)",
    "lite_attributes": "ladders of left-out photographs in order: [measured here](lite_attributes.md)",
    "clipiqa": f"SRCC KonIQ-10k .695, LIVE-itW .612, SPAQ .738: {CLIP_IQA}; AGIQA-3K .658: {LIQE}",
    "clipiqa+": f"SRCC KonIQ-10k .895, LIVE-itW .805, SPAQ .864: {CLIP_IQA}; AGIQA-3K .683: {LIQE}",
    "clipiqa+_rn50_512": f"SRCC KonIQ-10k .885, LIVE-itW .818: {PYIQA_NR}",
    "clipiqa+_vitL14_512": f"SRCC KonIQ-10k .861, LIVE-itW .773: {PYIQA_NR}",
    "liqe_mix": f"SRCC, never trained on: AGIQA-3K .721, AGIQA-1K .579, AIGCIQA2023 .744: {LIQE}",
    "perceptclip_iqa": f"SRCC KonIQ-10k .945, LIVE-itW .875 (trained on KonIQ-10k): {PERCEPTCLIP}",
    "perceptclip_mem": f"SRCC LaMem .741: {PERCEPTCLIP}",
    "perceptclip_emo": f"accuracy EmoSet .853 (8 classes), .978 (2 classes): {PERCEPTCLIP}",
    "laion_aes": f"SRCC AVA .665: {PYIQA_IAA}; pairs ordered as people do: ImageReward .574, HPD v2 .768: {HPSV2}",
    "hpsv2.1": f"pairs ordered as people do: ImageReward .668, HPD v2 .841 (single people: .653, .781): {HPSV2}",
    "pickscore": f"pairs ordered as people do: ImageReward .629, HPD v2 .798: {HPSV2}",
}
NO_FIGURE = "none that was looked up; see the paper"


def short_table() -> str:
    """One row for each purpose."""
    lines = ["| for | the score says | free for commercial use | others |", "|---|---|---|---|"]
    commercial = list_metrics(commercial=True)
    for purpose, (meaning, names) in PURPOSES.items():
        free = named([name for name in names if metric_of(name) in commercial])
        others = named([name for name in names if metric_of(name) not in commercial])
        lines.append(f"| {purpose} | {meaning} | {free or 'none'} | {others or 'none'} |")
    return "\n".join(lines) + "\n"


def named(names: list[str]) -> str:
    """Names as code; those of ARNIQA for several data sets by their ends."""
    variants = [name for name in names if name.startswith("arniqa-")]
    return ", ".join(f"`{name.removeprefix('arniqa')}`" if name in variants[1:] else f"`{name}`" for name in names)


def metric_of(name: str) -> str:
    """The metric that a name with options belongs to."""
    return name.split(",")[0]


def long_table() -> str:
    """One row for each metric, in the order of the purposes."""
    headings = (
        "metric", "for", "range", "better", "ms", "MB", "licences of weights", "trained on", "published figures",
        "blind spots",
    )  # fmt: skip
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    costs = {row["metric"]: row for row in csv.DictReader((DOCS / "cost.csv").read_text(encoding="utf-8").splitlines())}
    for name in dict.fromkeys(metric_of(name) for _, names in PURPOSES.values() for name in names):
        spec, cost = metric_info(name), costs[name]
        cells = (
            f"`{name}`",
            ", ".join(purpose for purpose, (_, names) in PURPOSES.items() if name in map(metric_of, names)),
            spec.score.range_text,
            "lower" if spec.lower_better else "higher",
            cost["milliseconds"],
            cost["megabytes"],
            licences(spec),
            spec.card.training_data,
            FIGURES.get(name, NO_FIGURE),
            spec.card.limits,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def licences(spec: MetricSpec) -> str:
    """Identifiers of the licences of all files."""
    found = [file.licence.spdx for file in reversed(spec.weight_sources) if file.licence is not None]
    return ", ".join(dict.fromkeys(found)) + ("" if spec.allows_commercial_use else " (not for commercial use)")


def with_table(text: str, table: str) -> str:
    """A document with a table between its markers."""
    before, rest = text.split(START)
    return before + START + table + END + rest.split(END)[1]


if __name__ == "__main__":
    for document, content in ((README, short_table()), (PAGE, long_table())):
        document.write_text(with_table(document.read_text(encoding="utf-8"), content), encoding="utf-8")
