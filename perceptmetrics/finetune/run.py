"""A run: train all splits and learning rates of a recipe, test the models, and export the metric.

The folder of a run holds `recipe.yaml`, `metrics.jsonl`, TensorBoard's files, `predictions.csv`, `summary.json`, and
the exported metric: in the folder itself, or, with several heads, in a folder for each data set. `scores.safetensors`
is written last: a run that has it is finished. Until then `state/` holds what a stopped run resumes from. The command
`finetune` adds `report.html`, see `perceptmetrics.reports.finetune`.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from perceptmetrics._util.atomic import replacing
from perceptmetrics._util.files import refuse_empty
from perceptmetrics._util.full_disk import explain_full_disk
from perceptmetrics._util.text import printable
from perceptmetrics.datasets import Split
from perceptmetrics.errors import DatasetError, InvalidOptionError
from perceptmetrics.finetune.calibration import RatingScale
from perceptmetrics.finetune.data import batch_parts, recipe_splits
from perceptmetrics.finetune.exporter import Exporter
from perceptmetrics.finetune.finished import SCORES_FILE, read_finished, write_finished
from perceptmetrics.finetune.journal import Journal
from perceptmetrics.finetune.overlaps import find_overlaps
from perceptmetrics.finetune.preflight import check_labels
from perceptmetrics.finetune.processes import describe_environment, training_processes
from perceptmetrics.finetune.recipe_files import recipe_to_yaml
from perceptmetrics.finetune.results import RunResult, SplitResult, StageResult, is_better, kept_epoch, test_result
from perceptmetrics.finetune.run_folder import (
    RECIPE_FILE,
    is_free,
    run_identity,
    write_predictions,
    write_summary,
)
from perceptmetrics.finetune.specs import run_specs
from perceptmetrics.finetune.start import encoder_identity, find_source
from perceptmetrics.finetune.state import NullObserver, Observer
from perceptmetrics.finetune.trainer import RunContext
from perceptmetrics.finetune.trial import HEAD_FIRST, Trials
from perceptmetrics.finetune.untouched import Untouched, score_untouched
from perceptmetrics.images.options import DecodeOptions, decoding
from perceptmetrics.spec.metric import as_metric_name
from perceptmetrics.weights.resolve import ResolveOptions

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.calibration import Calibration, HeldOut
    from perceptmetrics.finetune.recipe import Recipe
    from perceptmetrics.finetune.trial import Trial

__all__ = ["finetune"]

SUMMARY_FILE = "summary.json"

_log = logging.getLogger(__name__)


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
        result = _Run(context, partial(score_untouched, context, lookup, stated)).execute()
        processes.wait()
    return result


class _Run:
    def __init__(self, context: RunContext, untouched: Callable[..., Untouched | None]) -> None:
        self._context, self._recipe, self._datasets = context, context.recipe, context.datasets
        self._specs, self._folder, self._processes = context.specs, context.folder, context.processes
        self._scale = RatingScale(context)
        self._trials = Trials(context)
        self._exporter = Exporter(context)
        self._score_untouched = untouched
        self._untouched: Untouched | None = None
        self._splits = [recipe_splits(self._recipe, dataset) for dataset in self._datasets]
        self._overlaps = find_overlaps(self._datasets, self._splits) if self._processes.is_first else ()
        for overlap in self._overlaps:
            _log.warning("%s.", printable(str(overlap)))

    def execute(self) -> RunResult:
        finished = self._folder / SCORES_FILE
        found = read_finished(finished, self._context.identity, self._datasets, self._recipe.seed)
        if found is not None:
            splits, self._untouched = found
            self._exporter.restore()
            self._context.journal.restore()
        else:
            try:
                splits = self._train()
            finally:
                self._context.journal.close()
            self._processes.wait()
        result = self._result(splits)
        if self._processes.is_first:
            if found is None:
                write_predictions(self._folder / "predictions.csv", splits, self._datasets)
                write_summary(self._folder / SUMMARY_FILE, result, self._facts())
                write_finished(finished, self._context.identity, splits, self._untouched)
            shutil.rmtree(self._context.state_folder, ignore_errors=True)
        return result

    def _result(self, splits: tuple[SplitResult, ...]) -> RunResult:
        stages = self._context.journal.records
        return RunResult(
            recipe=self._recipe,
            datasets=tuple(self._datasets),
            folder=self._folder,
            metrics={self._datasets[index].name: self._exporter.folder(index) for index in range(len(self._specs))},
            splits=splits,
            stages=tuple(StageResult(name=name, records=records) for name, records in stages.items()),
            environment=describe_environment(self._processes),
            untouched=self._untouched,
            specs=self._exporter.specs,
            overlaps=self._overlaps,
        )

    def _train(self) -> tuple[SplitResult, ...]:
        """Train and export."""
        results, held_out = [], []
        for number, splits in enumerate(zip(*self._splits, strict=False)):
            _check_not_empty(splits, self._datasets)
            batch_parts(self._recipe, self._datasets, splits)
            trial, tried = self._best_trial(number, splits)
            calibrations = self._scale.fit(trial)
            results.append(self._test(number, trial, tried, calibrations))
            if self._recipe.splits.export == "all":
                held_out.append(self._scale.held_out(trial))
            elif number == 0:
                self._exporter.export(trial, calibrations, results)
        self._untouched = self._score_untouched(results, self._trials.features)
        if self._recipe.splits.export == "all":
            self._train_on_all(results, held_out)
        elif self._processes.is_first:
            self._exporter.write_cards(self._result(tuple(results)))
        return tuple(results)

    def _best_trial(self, number: int, splits: Sequence[Split]) -> tuple[Trial, dict[float, float]]:
        """Train with each learning rate; return the model that is best on the validation images, and all statistics."""
        best: Trial | None = None
        tried = {}
        for lr in self._recipe.optimizer.lr:
            trial = self._trials.train(number, splits, lr)
            tried[lr] = trial.selection
            if best is None or is_better(trial.selection, best.selection):
                best = trial
        if best is None:
            raise InvalidOptionError("The recipe states no learning rate.")
        return best, tried

    def _test(
        self, number: int, trial: Trial, tried: dict[float, float], calibrations: Sequence[Calibration | None]
    ) -> SplitResult:
        results = [
            test_result(one.dataset, one.split.test, self._scale.scores(trial, index, calibration), self._recipe.seed)
            for index, (one, calibration) in enumerate(zip(trial.sets, calibrations, strict=True))
        ]
        return SplitResult(
            number=number,
            lr=trial.lr,
            tried=tried,
            best_epoch=trial.best_epoch,
            selection=trial.selection,
            data_sets=tuple(results),
            parts=tuple(one.split for one in trial.sets),
        )

    def _train_on_all(self, results: Sequence[SplitResult], held_out: Sequence[HeldOut]) -> None:
        """Train on all images with the most frequent learning rate and the median epochs of the splits, and export."""
        none = np.empty(0, dtype=np.intp)
        splits = [Split(train=one.trainable, validation=none, test=none) for one in self._datasets]
        chosen = [split.lr for split in results]
        lr = max(self._recipe.optimizer.lr, key=chosen.count)
        trial = self._trials.train(len(results), splits, lr, epochs=self._median_epochs(lr))
        scores = {index: self._scale.held_out_scores(index, held_out) for index in held_out[0]}
        calibrations = self._scale.fit_to_held_out(trial, held_out)
        self._exporter.export(trial, calibrations, results, scores=scores, result=self._result(tuple(results)))

    def _median_epochs(self, lr: float) -> dict[str, int]:
        """For each stage, the median over the splits of the number of epochs after which the weights were kept."""
        kept: dict[str, list[int]] = {}
        for name, records in self._context.journal.records.items():
            if name.lr == lr or name.stage == HEAD_FIRST:
                kept.setdefault(name.stage, []).append(kept_epoch(records, self._recipe.optimizer.keep) + 1)
        return {stage: round(float(np.median(epochs))) for stage, epochs in kept.items()}

    def _facts(self) -> dict[str, object]:
        """What `summary.json` says of the run besides its results."""
        return {
            "recipe": self._recipe.name,
            "data": {one.name: {"images": len(one), "missing": len(one.missing)} for one in self._datasets},
            "processes": self._processes.world,
            "device": str(self._processes.device),
            "torch": torch.__version__,
        }


def _check_not_empty(splits: Sequence[Split], datasets: Sequence[LabelledImages]) -> None:
    for split, dataset in zip(splits, datasets, strict=True):
        if not len(split.train):
            raise DatasetError(f"{dataset.name}: a split leaves no images to train on.")


def _shuffled(dataset: LabelledImages, seed: int) -> LabelledImages:
    """The data set with its labels permuted at random."""
    order = np.random.default_rng([seed, 4]).permutation(len(dataset))
    ratings = None if dataset.ratings is None else dataset.ratings[order]
    classes = None if dataset.classes is None else dataset.classes[order]
    return replace(dataset, ratings=ratings, classes=classes, pooled=tuple(one.of(order) for one in dataset.pooled))
