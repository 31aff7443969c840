"""Metadata of a program: its metric, the meaning of its scores, and its input."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch

from perceptmetrics._util.version import __version__
from perceptmetrics.spec.json import spec_to_json

if TYPE_CHECKING:
    from perceptmetrics.models.metric import Metric

__all__ = ["METADATA_FILE", "PREFIX", "input_description", "program_metadata"]

PREFIX = "perceptmetrics."
METADATA_FILE = "perceptmetrics.json"


def program_metadata(metric: Metric, size: tuple[int, int] | None, precision: str) -> dict[str, str]:
    """Describe a program.

    Args:
        metric: Its metric.
        size: Height and width of its images; None for images of any size.
        precision: `"float32"` or `"int8"`.

    Returns:
        Text by key: `metric`, `version` (of this package), `torch`, `task`, `summary`, `range`, `lower`, `upper`
        (empty if unbounded), `higher_is_better`, `labels` (a JSON list, empty for a single score), `licence`, `paper`,
        `precision`, `input`, `output`, `spec` (as in `spec.json`).
    """
    spec, score = metric.spec, metric.spec.score
    return {
        "metric": spec.name,
        "version": __version__,
        "torch": torch.__version__,
        "task": spec.task,
        "summary": spec.card.summary,
        "range": score.range_text,
        "lower": "" if score.lower is None else str(score.lower),
        "upper": "" if score.upper is None else str(score.upper),
        "higher_is_better": json.dumps(score.higher_is_better),
        "labels": json.dumps(list(score.labels)),
        "licence": spec.card.licence,
        "paper": spec.card.paper,
        "precision": precision,
        "input": input_description(metric, size),
        "output": f"float32, shape (N, {len(score.labels)}): one score per label"
        if score.labels
        else "float32, shape (N,)",
        "spec": spec_to_json(spec),
    }


def input_description(metric: Metric, size: tuple[int, int] | None) -> str:
    """Describe the input of a program in one sentence."""
    if size is not None:
        return f"RGB, float32 in [0, 1], shape (N, 3, {size[0]}, {size[1]}), any N"
    return f"RGB, float32 in [0, 1], shape (N, 3, H, W), any N, H and W from {metric.encoder.min_size}"
