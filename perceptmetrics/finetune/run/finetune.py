"""A run: train all splits and learning rates of a recipe, test the models, and export the metric.

The folder of a run holds `recipe.yaml`, `metrics.jsonl`, TensorBoard's files, `predictions.csv`, `summary.json`, and
the exported metric: in the folder itself, or, with several heads, in a folder for each data set. `scores.safetensors`
is written last: a run that has it is finished. Until then `state/` holds what a stopped run resumes from. The command
`finetune` adds `report.html`, see `perceptmetrics.reports.finetune`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics._util.atomic import replacing
from perceptmetrics._util.files import refuse_empty
from perceptmetrics._util.full_disk import explain_full_disk
from perceptmetrics.finetune.data.checks import check_labels
from perceptmetrics.finetune.model.specs import run_specs
from perceptmetrics.finetune.model.start import encoder_identity, find_source
from perceptmetrics.finetune.processes import training_processes
from perceptmetrics.finetune.recipe import recipe_to_yaml
from perceptmetrics.finetune.run.folder import RECIPE_FILE, is_free, run_identity
from perceptmetrics.finetune.run.run import Run
from perceptmetrics.finetune.run.untouched import score_untouched
from perceptmetrics.finetune.training.epochs import NullObserver, Observer
from perceptmetrics.finetune.training.journal import Journal
from perceptmetrics.finetune.training.trainer import RunContext
from perceptmetrics.images.options import DecodeOptions, decoding
from perceptmetrics.spec.metric import as_metric_name
from perceptmetrics.weights.resolve import ResolveOptions

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.recipe import Recipe
    from perceptmetrics.finetune.run.results import RunResult

__all__ = ["finetune"]


def finetune(
    recipe: Recipe,
    datasets: Sequence[LabelledImages],
    output: str | os.PathLike[str],
    *,
    name: str | None = None,
    device: str | None = None,
    backbone_checkpoint: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    resume: bool = False,
    observer: Observer | None = None,
) -> RunResult:
    """Train a metric as a recipe says.

    Args:
        recipe: The recipe.
        datasets: Its data sets, in the order of the recipe.
        output: Folder of the run.
        name: Name of the metric; None for that of the folder.
        device: `"cpu"`, `"cuda"`, ...; None for an accelerator if there is one.
        backbone_checkpoint: File or folder with the encoder's weights, instead of looking them up.
        cache_dir: Folder of the Hub's cache; None for its default.
        local_files_only: Never download.
        resume: Continue a run that was stopped; its result is that of an uninterrupted run.
        observer: Follows the progress.

    Returns:
        Statistics on the test images, and the folders of the exported metrics.

    Raises:
        InvalidOptionError: The folder holds something else, or a run although `resume` is False.
        DatasetError: Images or labels do not fit the recipe.
        WeightsError: The encoder's weights are missing or do not fit, or the state of the run is corrupt.
        FullDiskError: There is no room for a file; what was trained so far is kept for `resume`.

    Examples:
        >>> from perceptmetrics.datasets import load_dataset
        >>> from perceptmetrics.finetune import finetune, load_recipe
        >>> recipe = load_recipe("lite_livec", ["epochs=5"])
        >>> data = load_dataset("livec", "data/livec/ChallengeDB_release", missing="skip")  # doctest: +SKIP
        >>> result = finetune(recipe, [data], "runs/livec")  # doctest: +SKIP
    """
    refuse_empty(output=output, backbone_checkpoint=backbone_checkpoint, cache_dir=cache_dir)
    folder = Path(output)
    stated = None if backbone_checkpoint is None else Path(backbone_checkpoint)
    lookup = ResolveOptions(metric=recipe.name, cache_dir=cache_dir, local_files_only=local_files_only)
    check_labels(datasets)
    specs = run_specs(recipe, datasets, as_metric_name(folder.resolve().name) if name is None else name)
    recipe_text = recipe_to_yaml(recipe) if name is None else f"# Metric: {name}\n{recipe_to_yaml(recipe)}"
    source = find_source(recipe, specs[0], lookup, stated)
    with (
        decoding(DecodeOptions(icc=recipe.icc)),
        explain_full_disk(folder, "continue with --resume (resume=True)"),
        training_processes(device, recipe.optimizer.precision, all_used=len(specs) == 1) as processes,
    ):
        is_new = is_free(folder, recipe_text, resume=resume)
        processes.wait()  # until all have looked, before one writes
        if is_new and processes.is_first:
            with replacing(folder / RECIPE_FILE) as temporary:
                temporary.write_text(recipe_text, encoding="utf-8")
        if recipe.shuffle_labels:
            datasets = [_shuffled(dataset, recipe.seed) for dataset in datasets]
        context = RunContext(
            recipe=recipe,
            recipe_text=recipe_text,
            datasets=tuple(datasets),
            specs=tuple(specs),
            source=source,
            folder=folder,
            identity=run_identity(recipe, datasets, encoder_identity(specs[0].encoder, source)),
            processes=processes,
            journal=Journal(folder, writes=processes.is_first),
            observer=observer or NullObserver(),
        )
        result = Run(context, partial(score_untouched, context, lookup, stated)).execute()
        processes.wait()
    return result


def _shuffled(dataset: LabelledImages, seed: int) -> LabelledImages:
    """The data set with its labels permuted at random."""
    order = np.random.default_rng([seed, 4]).permutation(len(dataset))
    ratings = None if dataset.ratings is None else dataset.ratings[order]
    classes = None if dataset.classes is None else dataset.classes[order]
    return replace(dataset, ratings=ratings, classes=classes, pooled=tuple(one.of(order) for one in dataset.pooled))
