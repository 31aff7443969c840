"""From a trained model to exported metrics, which `create_metric` takes by their folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.export.card import model_card
from perceptmetrics.export.collect import trained_weights_of
from perceptmetrics.export.write import EXACT, export_metric
from perceptmetrics.factory.tuned_encoder import tower_fingerprint
from perceptmetrics.finetune.recipe_files import recipe_to_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from perceptmetrics.finetune.learner import Learner
    from perceptmetrics.finetune.recipe import Recipe
    from perceptmetrics.spec import MetricSpec

__all__ = ["export_trained"]

_MERGED = 1e-4  # by how much a score may move when adapters are added into the weights


def export_trained(
    learner: Learner,
    number: int,
    spec: MetricSpec,
    recipe: Recipe,
    folder: Path,
    *,
    encoder: Path | None,
    results: Mapping[str, Mapping[str, float]],
) -> None:
    """Write a head's metric into a folder, beside what lies there; read it again and compare.

    Args:
        learner: The model; it is moved to the CPU.
        number: Number of the data set whose head is meant.
        spec: The metric's specification.
        recipe: How it was trained.
        folder: Where to write.
        encoder: The file that training started from.
        results: Figures on test images, by data set.

    Raises:
        WeightsError: What was written scores otherwise than the model.
    """
    learner.to("cpu").eval()
    metric = learner.metric(number)
    context = None if learner.prompts is None else learner.prompts.context
    learner.install_prompts()
    base = None if context is None or encoder is None else tower_fingerprint(encoder, spec.backbone)
    recipe_text = recipe_to_yaml(recipe)
    card = model_card(
        spec,
        source=str(folder),
        results=results,
        datasets=[entry.name for entry in recipe.data],
        recipe=recipe_text,
    )
    export_metric(
        metric,
        folder,
        spec=spec,
        weights=trained_weights_of(metric, spec, base=base, context=context),
        card=card,
        extra_files={"recipe.yaml": recipe_text},
        encoder=encoder,
        overwrite=True,
        keep_others=True,
        tolerance=EXACT if spec.backbone.lora is None else _MERGED,
    )
