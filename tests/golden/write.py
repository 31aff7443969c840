"""Write the golden scores that `test_golden.py` compares with.

    python -m tests.golden.write

Run it only when a score is meant to change, and list the change under "Scores changed" in the changelog.
"""

from __future__ import annotations

import json
from pathlib import Path

from perceptmetrics import create_metric
from perceptmetrics.images.examples import DEGRADATIONS, sample_photographs

GOLDEN = Path(__file__).parent / "lite_iqa.json"


def golden_scores() -> dict[str, float]:
    """Scores of lite_iqa on the sample photographs and their degraded copies."""
    metric = create_metric("lite_iqa")
    scores = {}
    for name, photograph in sample_photographs().items():
        scores[name] = metric.score(photograph).item()
        for kind, degrade in DEGRADATIONS.items():
            scores[f"{name} {kind}"] = metric.score(degrade(photograph)).item()
    return scores


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({key: round(value, 6) for key, value in golden_scores().items()}, indent=2) + "\n")
