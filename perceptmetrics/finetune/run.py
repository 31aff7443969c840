"""A run: all splits and learning rates of a recipe, the figures on the test images, and the metric that comes of it.

A run's folder holds `recipe.yaml`, `metrics.jsonl`, TensorBoard's files, `predictions.csv`, `summary.json`, and the
exported metric: in the folder itself, or, with several heads, in a folder for each data set. `scores.safetensors` is
written last: a run that has it is finished. While it trains, `state/` holds what it goes on from after a stop. The
command `finetune` adds `report.html`, see `perceptmetrics.reports.finetune`.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from perceptmetrics._util.atomic import replacing
from perceptmetrics.datasets import Split
from perceptmetrics.errors import DatasetError, InvalidOptionError
from perceptmetrics.finetune.calibration import RatingScale, fold_calibration
from perceptmetrics.finetune.data import recipe_splits
from perceptmetrics.finetune.processes import Processes, describe_environment
from perceptmetrics.finetune.recipe_files import recipe_to_yaml
from perceptmetrics.finetune.results import RunResult, SplitResult, StageResult, is_better, kept_epoch, test_result
from perceptmetrics.finetune.run_folder import (
    RECIPE_FILE,
    SCORES_FILE,
    card_figures,
    export_trained,
    is_free,
    read_finished,
    run_identity,
    write_finished,
    write_predictions,
    write_summary,
)
from perceptmetrics.finetune.specs import run_specs
from perceptmetrics.finetune.start import encoder_identity, find_encoder
from perceptmetrics.finetune.state import Journal, Observer, Silence
from perceptmetrics.finetune.trial import HEAD_FIRST, Trials
from perceptmetrics.weights.resolve import ResolveOptions

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.calibration import Calibration, HeldOut
    from perceptmetrics.finetune.recipe import Recipe
    from perceptmetrics.finetune.start import EncoderSource
    from perceptmetrics.finetune.trial import Trial
    from perceptmetrics.spec import MetricSpec

__all__ = ["finetune"]

SUMMARY_FILE = "summary.json"


def finetune(
    recipe: Recipe,
    datasets: Sequence[LabelledImages],
    output: str | os.PathLike[str],
    *,
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
        datasets: Its data sets, in its order.
        output: Folder of the run.
        device: `"cpu"`, `"cuda"`, ...; None for whatever accelerator there is.
        backbone_checkpoint: The encoder's weights, in place of those that would be looked up.
        cache_dir: Folder of the Hub's cache; None for its default.
        local_files_only: Never download.
        resume: Go on with a run that was stopped; it ends as if it had not been.
        observer: Is told how training goes on.

    Returns:
        The figures, and where the exported metrics are.

    Raises:
        InvalidOptionError: The folder holds another run, or one that was not to be resumed.
        DatasetError: Images or labels are not what the recipe needs.
        WeightsError: The encoder's weights are missing or do not fit.

    Example:
        >>> from perceptmetrics.datasets import load_dataset
        >>> from perceptmetrics.finetune import finetune, load_recipe
        >>> recipe = load_recipe("lite_livec", ["epochs=5"])
        >>> data = load_dataset("livec", "data/livec/ChallengeDB_release", missing="skip")  # doctest: +SKIP
        >>> result = finetune(recipe, [data], "runs/livec")  # doctest: +SKIP
    """
    folder = Path(output)
    stated = None if backbone_checkpoint is None else Path(backbone_checkpoint)
    lookup = ResolveOptions(metric=recipe.name, cache_dir=cache_dir, local_files_only=local_files_only)
    specs = run_specs(recipe, datasets)
    source = find_encoder(specs[0].backbone, lookup, stated)
    processes = Processes(device, recipe.optimizer.precision, all_used=len(specs) == 1)
    is_new = is_free(folder, recipe, resume=resume)
    processes.wait()  # all have looked before one writes
    if is_new and processes.is_first:
        with replacing(folder / RECIPE_FILE) as temporary:
            temporary.write_text(recipe_to_yaml(recipe), encoding="utf-8")
    run = _Run(recipe, datasets, specs, source, folder, processes, observer or Silence())
    result = run.execute()
    processes.wait()
    return result


class _Run:
    def __init__(
        self,
        recipe: Recipe,
        datasets: Sequence[LabelledImages],
        specs: list[MetricSpec],
        source: EncoderSource,
        folder: Path,
        processes: Processes,
        observer: Observer,
    ) -> None:
        self._recipe, self._specs, self._source, self._folder = recipe, specs, source, folder
        self._datasets = (
            [_shuffled(dataset, recipe.seed) for dataset in datasets] if recipe.shuffle_labels else datasets
        )
        self._processes = processes
        self._identity = run_identity(recipe, self._datasets, encoder_identity(specs[0].backbone, source))
        self._journal = Journal(folder, writes=processes.is_first)
        self._scale = RatingScale(recipe, specs, processes)
        self._trials = Trials(
            recipe,
            self._datasets,
            specs,
            source,
            folder=folder,
            processes=processes,
            journal=self._journal,
            observer=observer,
            identity=self._identity,
        )

    def execute(self) -> RunResult:
        finished = self._folder / SCORES_FILE
        splits = read_finished(finished, self._identity, self._datasets, self._recipe.seed)
        if splits is not None:
            self._journal.restore()
        else:
            try:
                splits = self._train()
            finally:
                self._journal.close()
            self._processes.wait()
            if self._processes.is_first:
                write_predictions(self._folder / "predictions.csv", splits, self._datasets)
                write_summary(self._folder / SUMMARY_FILE, self._result(splits), self._context())
                write_finished(finished, self._identity, splits)
        if self._processes.is_first:
            shutil.rmtree(self._folder / "state", ignore_errors=True)
        return self._result(splits)

    def _result(self, splits: tuple[SplitResult, ...]) -> RunResult:
        metrics = {self._datasets[place].name: self._metric_folder(place) for place in range(len(self._specs))}
        return RunResult(
            recipe=self._recipe,
            datasets=tuple(self._datasets),
            folder=self._folder,
            metrics=metrics,
            splits=splits,
            stages=tuple(StageResult(name=name, records=records) for name, records in self._journal.records.items()),
            environment=describe_environment(self._processes),
        )

    def _metric_folder(self, place: int) -> Path:
        """A folder for each head's metric, or the run's."""
        return self._folder if len(self._specs) == 1 else self._folder / self._datasets[place].name

    def _train(self) -> tuple[SplitResult, ...]:
        """Train and export."""
        every = [recipe_splits(self._recipe, dataset) for dataset in self._datasets]
        count = min(len(splits) for splits in every)
        results, held_out = [], []
        for number in range(count):
            splits = [of_one[number] for of_one in every]
            _check_not_empty(splits, self._datasets)
            trial, tried = self._best_trial(number, splits)
            lines = self._scale.lines(trial)
            results.append(self._test(number, trial, tried, lines))
            if self._recipe.splits.export == "all":
                held_out.append(self._scale.held_out(trial))
            elif number == 0:
                self._export(trial, lines, results)
        if self._recipe.splits.export == "all":
            self._train_on_all(results, held_out)
        return tuple(results)

    def _best_trial(self, number: int, splits: Sequence[Split]) -> tuple[Trial, dict[float, float]]:
        """The model of the learning rate that does best on the validation images."""
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
        self, number: int, trial: Trial, tried: dict[float, float], lines: Sequence[Calibration | None]
    ) -> SplitResult:
        results = [
            test_result(one.dataset, one.split.test, self._scale.scores(trial, place, line), self._recipe.seed)
            for place, (one, line) in enumerate(zip(trial.sets, lines, strict=True))
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
        """Train on all images, for as long and at the rate that served the splits best, and export."""
        none = np.empty(0, dtype=np.intp)
        splits = [Split(train=one.trainable, validation=none, test=none) for one in self._datasets]
        rates = [split.lr for split in results]
        rate = max(self._recipe.optimizer.lr, key=rates.count)
        trial = self._trials.train(len(results), splits, rate, epochs=self._median_epochs(rate))
        self._export(trial, self._scale.lines_of_all(trial, held_out), results)

    def _median_epochs(self, rate: float) -> dict[str, int]:
        """For each stage of training at a rate, how long it served the splits to train."""
        served: dict[str, list[int]] = {}
        for name, records in self._journal.records.items():
            if name.lr == rate or name.stage == HEAD_FIRST:
                served.setdefault(name.stage, []).append(kept_epoch(records, self._recipe.optimizer.keep) + 1)
        return {stage: round(float(np.median(epochs))) for stage, epochs in served.items()}

    def _export(self, trial: Trial, lines: Sequence[Calibration | None], results: Sequence[SplitResult]) -> None:
        """Write each head's metric into its folder."""
        figures = card_figures(results)
        for place, spec in enumerate(self._specs):
            line = lines[place]
            if line is not None:
                fold_calibration(trial.learner.metric(place), line)
            if self._processes.is_first:
                name = self._datasets[place].name
                export_trained(
                    trial.learner,
                    place,
                    spec,
                    self._recipe,
                    self._metric_folder(place),
                    encoder=self._source.file,
                    results={
                        key: figures[key] for key in figures if len(self._specs) == 1 or key.partition(": ")[0] == name
                    },
                )

    def _context(self) -> dict[str, object]:
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
    """The data set with its labels dealt out anew."""
    order = np.random.default_rng([seed, 4]).permutation(len(dataset))
    ratings = None if dataset.ratings is None else dataset.ratings[order]
    classes = None if dataset.classes is None else dataset.classes[order]
    return replace(dataset, ratings=ratings, classes=classes)
