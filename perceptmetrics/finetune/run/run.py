"""All trainings of a run: one model for each split and learning rate, their tests, and the export of the best."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

import numpy as np
import torch

from perceptmetrics._util.text import printable
from perceptmetrics.datasets import Split
from perceptmetrics.errors import DatasetError, InvalidOptionError
from perceptmetrics.finetune.data.batches import batch_parts, recipe_splits
from perceptmetrics.finetune.data.checks import find_overlaps
from perceptmetrics.finetune.processes import describe_environment
from perceptmetrics.finetune.run.calibration import RatingScale
from perceptmetrics.finetune.run.exporter import Exporter
from perceptmetrics.finetune.run.finished import SCORES_FILE, read_finished, write_finished
from perceptmetrics.finetune.run.folder import write_predictions, write_summary
from perceptmetrics.finetune.run.results import RunResult, SplitResult, StageResult, test_result
from perceptmetrics.finetune.training.epochs import is_better, kept_epoch
from perceptmetrics.finetune.training.trial import HEAD_FIRST, Trials

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.run.calibration import Calibration, HeldOut
    from perceptmetrics.finetune.run.untouched import Untouched
    from perceptmetrics.finetune.training.trainer import RunContext
    from perceptmetrics.finetune.training.trial import Trial

__all__ = ["Run"]

SUMMARY_FILE = "summary.json"

_log = logging.getLogger(__name__)


class Run:
    """Trains all splits and learning rates of a recipe, tests the models, and exports the metric.

    Args:
        context: What all trainings have in common.
        untouched: Scores the metric before training.
    """

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
        """Train, or read the results of a finished run; the first process writes them."""
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
