"""Write the golden scores of metrics with published heads, on small random encoders.

    python -m tests.golden.published

Run it only when a score is meant to change, and list the change under "Scores changed" in the changelog.
"""

from __future__ import annotations

import json
from pathlib import Path

from perceptmetrics import list_metrics
from tests.support.photographs import photographs
from tests.support.registered_metrics import build

GOLDEN = Path(__file__).parent / "published.json"
PROMPT = "A photo of a cup of coffee."
DRAWN_BY_TIMM, TIMM = ("vitmem",), (1, 0, 31)  # metrics whose random encoder timm draws, and the version that did
FAMILIES = ("laion_aes*", "clip_score", "hpsv2.1", "pickscore", "vitmem", "arniqa*", "liqe*", "qualiclip", "maclip")


def golden_scores() -> dict[str, list[float]]:
    """Scores of three photographs by each metric."""
    images = photographs(240, 300)[:3]
    scores = {}
    for name in (name for family in FAMILIES for name in list_metrics(family)):
        metric = build(name)
        given = metric(images, PROMPT) if metric.reads_prompts else metric(images)
        scores[name] = [round(score, 6) for score in given.tolist()]
    return scores


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(golden_scores(), indent=2) + "\n")
