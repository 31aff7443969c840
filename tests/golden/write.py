"""Write the golden scores that `test_golden.py` compares with.

    python -m tests.golden.write

Run it only when a score is meant to change, and list the change under "Scores changed" in the changelog.
"""

from __future__ import annotations

import json
from pathlib import Path

from perceptmetrics import create_metric
from perceptmetrics.images.examples import DEGRADATIONS, sample_photographs

GOLDEN = {name: Path(__file__).parent / f"{name}.json" for name in ("lite_iqa", "lite_attributes")}


def golden_scores(name: str) -> dict[str, float]:
    """Scores of a metric on the sample photographs and their degraded copies; with the label where it has labels."""
    metric = create_metric(name)
    scores = {}
    for title, photograph in sample_photographs().items():
        degraded = {f"{title} {kind}": degrade(photograph) for kind, degrade in DEGRADATIONS.items()}
        for shown, image in {title: photograph, **degraded}.items():
            values = zip(metric.labels or ("",), metric.score(image).flatten().tolist(), strict=True)
            scores |= {f"{shown} {label}".strip(): value for label, value in values}
    return scores


if __name__ == "__main__":
    for name, path in GOLDEN.items():
        rounded = {key: round(value, 6) for key, value in golden_scores(name).items()}
        path.write_text(json.dumps(rounded, indent=2) + "\n")
