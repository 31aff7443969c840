"""A run: all splits and learning rates of a recipe, the figures on the test images, and the metric that comes of it.

A run's folder holds `recipe.yaml`, `metrics.jsonl`, TensorBoard's files, `predictions.csv`, `summary.json`, and the
exported metric: in the folder itself, or, with several heads, in a folder for each data set. The command `finetune`
adds `report.html` (see `perceptmetrics.reports.finetune`). While it trains,
`state/` holds what it goes on from after a stop.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from perceptmetrics.atomic import replacing
from perceptmetrics.datasets import Split, make_splits
from perceptmetrics.errors import DatasetError, InvalidOptionError
from perceptmetrics.finetune.calibration import Calibration, fit_calibration, fold_calibration
from perceptmetrics.finetune.environment import describe_environment
from perceptmetrics.finetune.export import export_trained
from perceptmetrics.finetune.journal import Journal, Observer, Silence
from perceptmetrics.finetune.processes import Processes
from perceptmetrics.finetune.recipe_files import recipe_to_yaml
from perceptmetrics.finetune.results import (
    RunResult,
    SplitResult,
    StageResult,
    test_result,
    write_predictions,
    write_summary,
)
from perceptmetrics.finetune.specs import metric_spec
from perceptmetrics.finetune.start import encoder_identity, find_encoder
from perceptmetrics.finetune.trainer import predict
from perceptmetrics.finetune.trial import Trials
from perceptmetrics.functional.score import map_to_scores
from perceptmetrics.spec import MlpHeadSpec
from perceptmetrics.weights import ResolveOptions

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.recipe import Recipe
    from perceptmetrics.finetune.start import EncoderSource
    from perceptmetrics.finetune.trial import Trial
    from perceptmetrics.spec import MetricSpec

__all__ = ["finetune"]

RECIPE_FILE = "recipe.yaml"
SUMMARY_FILE = "summary.json"
_SCALE_FREE = ("plcc", "ranking")


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
    processes = Processes(device, recipe.optimizer.precision)
    _claim(folder, recipe, resume=resume, writes=processes.is_first)
    processes.wait()
    run = _Run(recipe, datasets, specs, source, folder, processes, observer or Silence())
    result = run.execute()
    processes.wait()
    return result


def run_specs(recipe: Recipe, datasets: Sequence[LabelledImages]) -> list[MetricSpec]:
    """The metrics that a recipe trains: one for each data set, or a single one for all."""
    if len(datasets) != len(recipe.data):
        raise DatasetError(f"The recipe names {len(recipe.data)} data sets, got {len(datasets)}.")
    if recipe.heads == "shared" or len(datasets) == 1:
        return [metric_spec(recipe, datasets[0], recipe.name)]
    return [metric_spec(recipe, dataset, f"{recipe.name}_{dataset.name}") for dataset in datasets]


def _claim(folder: Path, recipe: Recipe, *, resume: bool, writes: bool) -> None:
    """Take a folder for a run, or find the same run in it."""
    file, text = folder / RECIPE_FILE, recipe_to_yaml(recipe)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not file.is_file():
            raise InvalidOptionError(f"{folder} holds other things than a run. Choose another output folder.")
        if not resume:
            raise InvalidOptionError(
                f"{folder} holds a run already. Go on with it by --resume (resume=True), or choose another folder."
            )
        if file.read_text(encoding="utf-8") != text:
            raise InvalidOptionError(
                f"{folder} holds a run of another recipe (see its {RECIPE_FILE}), so this one cannot resume it."
            )
    elif writes:
        with replacing(file) as temporary:
            temporary.write_text(text, encoding="utf-8")


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
        self._journal = Journal(folder, writes=processes.is_first)
        self._trials = Trials(
            recipe,
            self._datasets,
            specs,
            source,
            folder=folder,
            processes=processes,
            journal=self._journal,
            observer=observer,
            identity=_identity(recipe, self._datasets, encoder_identity(specs[0].backbone, source)),
        )
        self._calibrates = isinstance(specs[0].head, MlpHeadSpec) and (
            recipe.loss in _SCALE_FREE or recipe.score_map == "logistic"
        )

    def execute(self) -> RunResult:
        every = [self._splits(dataset) for dataset in self._datasets]
        count = min(len(splits) for splits in every)
        results, metrics, held_out = [], {}, []
        for number in range(count):
            splits = [of_one[number] for of_one in every]
            trial, tried = self._best_trial(number, splits)
            calibrations = [self._calibration(trial, place) for place in range(len(self._datasets))]
            results.append(self._test(number, trial, tried, calibrations))
            if self._recipe.splits.export == "all":
                held_out.append(self._held_out(trial))
            elif number == 0:
                metrics = self._export(trial, calibrations)
        if self._recipe.splits.export == "all":
            metrics = self._train_on_all(results, held_out)
        result = RunResult(
            recipe=self._recipe,
            datasets=tuple(self._datasets),
            folder=self._folder,
            metrics=metrics,
            splits=tuple(results),
            stages=tuple(StageResult(name=name, records=records) for name, records in self._journal.records.items()),
            environment=describe_environment(self._processes),
        )
        self._processes.wait()
        if self._processes.is_first:
            write_predictions(self._folder / "predictions.csv", results, self._datasets)
            write_summary(self._folder / SUMMARY_FILE, result, self._context())
            shutil.rmtree(self._folder / "state", ignore_errors=True)
        return result

    def _splits(self, dataset: LabelledImages) -> tuple[Split, ...]:
        recipe = self._recipe.splits
        return make_splits(
            dataset,
            recipe.count,
            seed=self._recipe.seed,
            test=recipe.test,
            validation=recipe.validation,
            official=recipe.official,
        )

    def _best_trial(self, number: int, splits: Sequence[Split]) -> tuple[Trial, dict[float, float]]:
        """The model of the learning rate that does best on the validation images."""
        best: Trial | None = None
        tried = {}
        for lr in self._recipe.optimizer.lr:
            trial = self._trials.train(number, splits, lr)
            tried[lr] = trial.selection
            if best is None or trial.selection > best.selection:
                best = trial
        if best is None:
            raise InvalidOptionError("The recipe states no learning rate.")
        return best, tried

    def _predict(self, trial: Trial, place: int, images: NDArray[np.intp]) -> NDArray[np.float64]:
        return predict(trial.learner, place, trial.sets[place].feed, images, self._processes)

    def _calibration(self, trial: Trial, place: int) -> Calibration | None:
        """The line from raw outputs to ratings, fitted on the validation images; None where outputs need none."""
        one = trial.sets[self._measured(place)]
        if not self._calibrates or one.dataset.ratings is None:
            return None
        raw = self._predict(trial, self._measured(place), one.split.validation)
        ratings = one.dataset.ratings[one.split.validation]
        return fit_calibration(raw, ratings, logistic=self._recipe.score_map == "logistic")

    def _measured(self, place: int) -> int:
        """The data set on whose ratings a head is calibrated: its own, or the first of those that share it."""
        return 0 if len(self._specs) == 1 else place

    def _test(
        self, number: int, trial: Trial, tried: dict[float, float], calibrations: Sequence[Calibration | None]
    ) -> SplitResult:
        results = []
        for place, (one, calibration) in enumerate(zip(trial.sets, calibrations, strict=True)):
            raw = self._predict(trial, place, one.split.test)
            scores = self._scores(place, raw if calibration is None else calibration(raw))
            results.append(test_result(one.dataset, one.split.test, scores, self._recipe.seed))
        return SplitResult(
            number=number,
            lr=trial.lr,
            tried=tried,
            best_epoch=trial.best_epoch,
            selection=trial.selection,
            data_sets=tuple(results),
            parts=tuple(one.split for one in trial.sets),
        )

    def _scores(self, place: int, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        mapping = self._specs[min(place, len(self._specs) - 1)].score
        return map_to_scores(torch.from_numpy(outputs), mapping.map, mapping.scale, mapping.shift).numpy()

    def _held_out(self, trial: Trial) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """For each head, outputs for test images in units of those for training images, and their ratings."""
        found = []
        for place in range(len(self._specs)):
            one = trial.sets[place]
            if one.dataset.ratings is not None:
                mean, spread = self._moments(trial, place)
                raw = self._predict(trial, place, one.split.test)
                found.append(((raw - mean) / spread, one.dataset.ratings[one.split.test]))
        return found

    def _moments(self, trial: Trial, place: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        raw = self._predict(trial, place, trial.sets[place].split.train)
        return raw.mean(axis=0), raw.std(axis=0) + 1e-8

    def _train_on_all(
        self,
        results: Sequence[SplitResult],
        held_out: Sequence[list[tuple[NDArray[np.float64], NDArray[np.float64]]]],
    ) -> dict[str, Path]:
        """Train on all images, for as long and at the rate that served the splits best, and export."""
        none = np.empty(0, dtype=np.intp)
        splits = [Split(train=np.arange(len(one)), validation=none, test=none) for one in self._datasets]
        epochs = None if self._recipe.optimizer.patience is None else _median_epoch(results)
        rates = [split.lr for split in results]
        trial = self._trials.train(len(results), splits, max(set(rates), key=rates.count), epochs=epochs)
        calibrations: list[Calibration | None] = [None] * len(self._specs)
        for place, pairs in enumerate(zip(*held_out, strict=True)) if self._calibrates else ():
            outputs, ratings = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
            line = fit_calibration(outputs, ratings, logistic=self._recipe.score_map == "logistic")
            mean, spread = self._moments(trial, place)
            calibrations[place] = Calibration(slope=line.slope / spread, shift=line.shift - line.slope * mean / spread)
        return self._export(trial, calibrations)

    def _export(self, trial: Trial, calibrations: Sequence[Calibration | None]) -> dict[str, Path]:
        """Write each head's metric into a folder of its own, or into the run's."""
        found = {}
        for place, spec in enumerate(self._specs):
            name = self._datasets[place].name
            folder = self._folder if len(self._specs) == 1 else self._folder / name
            calibration = calibrations[place]
            if calibration is not None:
                fold_calibration(trial.learner.metric(place), calibration)
            if self._processes.is_first:
                export_trained(trial.learner, place, spec, folder)
            found[name] = folder
        return found

    def _context(self) -> dict[str, object]:
        return {
            "recipe": self._recipe.name,
            "data": {one.name: {"images": len(one), "missing": len(one.missing)} for one in self._datasets},
            "processes": self._processes.world,
            "device": str(self._processes.device),
            "torch": torch.__version__,
        }


def _median_epoch(results: Sequence[SplitResult]) -> int:
    return round(float(np.median([split.best_epoch + 1 for split in results])))


def _shuffled(dataset: LabelledImages, seed: int) -> LabelledImages:
    """The data set with its labels dealt out anew."""
    order = np.random.default_rng([seed, 4]).permutation(len(dataset))
    ratings = None if dataset.ratings is None else dataset.ratings[order]
    classes = None if dataset.classes is None else dataset.classes[order]
    return replace(dataset, ratings=ratings, classes=classes)


def _identity(recipe: Recipe, datasets: Sequence[LabelledImages], encoder: str) -> str:
    """What is trained, on what: a hash of recipe, images by name, labels and encoder."""
    digest = hashlib.sha256(json.dumps([recipe_to_yaml(recipe), encoder]).encode())
    for dataset in datasets:
        digest.update(json.dumps(dataset.names).encode("utf-8", "surrogatepass"))
        labels = dataset.classes if dataset.ratings is None else dataset.ratings
        digest.update(np.ascontiguousarray(labels).tobytes())
    return digest.hexdigest()
