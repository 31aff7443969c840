"""From a trained model to exported metrics, which `create_metric` takes by their folder."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics.exported import write_folder
from perceptmetrics.trained_parts import trained_weights_of

if TYPE_CHECKING:
    from perceptmetrics.finetune.learner import Learner
    from perceptmetrics.spec import MetricSpec

__all__ = ["export_trained"]


def export_trained(learner: Learner, number: int, spec: MetricSpec, folder: Path) -> None:
    """Write a head's metric into a folder, beside what lies there.

    Args:
        learner: The model, on the device where it was trained.
        number: Number of the data set whose head is meant.
        spec: The metric's specification.
        folder: Where to write.
    """
    metric = learner.metric(number).eval()
    context = None if learner.prompts is None else learner.prompts.context
    if learner.prompts is not None:
        learner.prompts.install(metric.head)
    weights = trained_weights_of(metric, spec, context=context)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export") as temporary:
        write_folder(Path(temporary), spec, weights, metric)
        for file in Path(temporary).iterdir():
            file.replace(folder / file.name)
