"""A run: all splits and learning rates of a recipe, the figures on the test images, and the metric that comes of it.

A run's folder holds `recipe.yaml`, `metrics.jsonl`, TensorBoard's files, `predictions.csv`, `summary.json`, and the
exported metric: in the folder itself, or, with several heads, in a folder for each data set. `scores.safetensors` is
written last: a run that has it is finished. While it trains, `state/` holds what it goes on from after a stop. The
command `finetune` adds `report.html`, see `perceptmetrics.reports.finetune`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from perceptmetrics.atomic import replacing
from perceptmetrics.datasets import Split, make_splits
from perceptmetrics.errors import DatasetError, InvalidOptionError
from perceptmetrics.finetune.calibration import Calibration, fit_calibration, fold_calibration
from perceptmetrics.finetune.environment import describe_environment
from perceptmetrics.finetune.export import export_trained
from perceptmetrics.finetune.finished import SCORES_FILE, read_finished, write_finished
from perceptmetrics.finetune.journal import Journal, Observer, Silence
from perceptmetrics.finetune.processes import Processes
from perceptmetrics.finetune.recipe_files import recipe_to_yaml
from perceptmetrics.finetune.results import (
    RunResult,
    SplitResult,
    StageResult,
    card_figures,
    test_result,
    write_predictions,
    write_summary,
)
from perceptmetrics.finetune.specs import metric_spec
from perceptmetrics.finetune.start import encoder_identity, find_encoder
from perceptmetrics.finetune.state import is_better
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

_HeldOut: TypeAlias = "dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]"
"""By head: outputs for test images in units of those for training images, and their ratings."""


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
    is_new = _check_folder(folder, recipe, resume=resume)
    processes.wait()  # all have looked before one writes
    if is_new and processes.is_first:
        with replacing(folder / RECIPE_FILE) as temporary:
            temporary.write_text(recipe_to_yaml(recipe), encoding="utf-8")
    run = _Run(recipe, datasets, specs, source, folder, processes, observer or Silence())
    result = run.execute()
    processes.wait()
    return result


def run_specs(recipe: Recipe, datasets: Sequence[LabelledImages]) -> list[MetricSpec]:
    """The metrics that a recipe trains: one for each data set, or a single one for all."""
    if len(datasets) != len(recipe.data):
        raise DatasetError(f"The recipe names {len(recipe.data)} data sets, got {len(datasets)}.")
    names = [dataset.name for dataset in datasets]
    if len(set(names)) != len(names):
        raise DatasetError(
            f"Data sets need names of their own, got {', '.join(names)}. Rename them, with dataclasses.replace(data, "
            "name=...)."
        )
    losses = [entry.loss or recipe.loss for entry in recipe.data]
    one_head = recipe.heads == "shared" or len(datasets) == 1
    specs = [
        metric_spec(recipe, dataset, recipe.name if one_head else f"{recipe.name}_{dataset.name}", loss)
        for dataset, loss in zip(datasets, losses, strict=True)
    ]
    for dataset, spec in zip(datasets, specs, strict=True):
        if one_head and spec.score != specs[0].score:
            raise DatasetError(
                f"Data sets that share a head need the same labels: {names[0]} has {', '.join(datasets[0].labels)}, "
                f"{dataset.name} has {', '.join(dataset.labels)}."
            )
    return [_shared_spec(specs)] if one_head else specs


def _shared_spec(specs: Sequence[MetricSpec]) -> MetricSpec:
    """The metric of a head that several data sets share: that of the first, whose card names them all."""
    training_data = " ".join(spec.card.training_data for spec in specs)
    return replace(specs[0], card=replace(specs[0].card, training_data=training_data))


def _check_folder(folder: Path, recipe: Recipe, *, resume: bool) -> bool:
    """Whether a folder is free for a new run; it may hold the same run, when that is to be resumed."""
    file = folder / RECIPE_FILE
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return True
    if not file.is_file():
        raise InvalidOptionError(f"{folder} holds other things than a run. Choose another output folder.")
    if not resume:
        raise InvalidOptionError(
            f"{folder} holds a run already. Go on with it by --resume (resume=True), or choose another folder."
        )
    if file.read_text(encoding="utf-8") != recipe_to_yaml(recipe):
        raise InvalidOptionError(
            f"{folder} holds a run of another recipe (see its {RECIPE_FILE}), so this one cannot resume it."
        )
    return False


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
        self._identity = _identity(recipe, self._datasets, encoder_identity(specs[0].backbone, source))
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
        every = [self._splits(dataset) for dataset in self._datasets]
        count = min(len(splits) for splits in every)
        results, held_out = [], []
        for number in range(count):
            splits = [of_one[number] for of_one in every]
            _check_not_empty(splits, self._datasets)
            trial, tried = self._best_trial(number, splits)
            calibrations = [self._calibration(trial, place) for place in range(len(self._datasets))]
            results.append(self._test(number, trial, tried, calibrations))
            if self._recipe.splits.export == "all":
                held_out.append(self._held_out(trial))
            elif number == 0:
                self._export(trial, calibrations, results)
        if self._recipe.splits.export == "all":
            self._train_on_all(results, held_out)
        return tuple(results)

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
            if best is None or is_better(trial.selection, best.selection):
                best = trial
        if best is None:
            raise InvalidOptionError("The recipe states no learning rate.")
        return best, tried

    def _predict(self, trial: Trial, place: int, images: NDArray[np.intp]) -> NDArray[np.float64]:
        return predict(trial.learner, place, trial.sets[place].feed, images, self._processes)

    def _calibration(self, trial: Trial, place: int) -> Calibration | None:
        """The line from raw outputs to ratings; None where outputs need none.

        It is fitted on the validation images, or, where there are none, on the training images.
        """
        one = trial.sets[self._measured(place)]
        if not self._calibrates(place) or one.dataset.ratings is None:
            return None
        images = one.split.validation if len(one.split.validation) else one.split.train
        raw = self._predict(trial, self._measured(place), images)
        ratings = one.dataset.ratings[images]
        return fit_calibration(raw, ratings, logistic=self._recipe.score_map == "logistic")

    def _calibrates(self, place: int) -> bool:
        """Whether a head's outputs are on no scale of their own, or are to go through a logistic."""
        loss = self._recipe.data[self._measured(place)].loss or self._recipe.loss
        spec = self._specs[0]
        has_layers = isinstance(spec.head, MlpHeadSpec) or spec.pool.regressor is not None
        return has_layers and (loss in _SCALE_FREE or self._recipe.score_map == "logistic")

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

    def _held_out(self, trial: Trial) -> _HeldOut:
        found = {}
        for place in range(len(self._specs)):
            one = trial.sets[place]
            if self._calibrates(place) and one.dataset.ratings is not None:
                mean, spread = self._moments(trial, place)
                raw = self._predict(trial, place, one.split.test)
                found[place] = ((raw - mean) / spread, one.dataset.ratings[one.split.test])
        return found

    def _moments(self, trial: Trial, place: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        raw = self._predict(trial, place, trial.sets[place].split.train)
        return raw.mean(axis=0), raw.std(axis=0) + 1e-8

    def _train_on_all(self, results: Sequence[SplitResult], held_out: Sequence[_HeldOut]) -> None:
        """Train on all images, for as long and at the rate that served the splits best, and export."""
        none = np.empty(0, dtype=np.intp)
        splits = [Split(train=one.trainable, validation=none, test=none) for one in self._datasets]
        rates = [split.lr for split in results]
        rate = max(self._recipe.optimizer.lr, key=rates.count)
        epochs = _median_epoch([split for split in results if split.lr == rate])
        keeps_last = self._recipe.optimizer.keep == "last"
        trial = self._trials.train(len(results), splits, rate, epochs=None if keeps_last else epochs)
        calibrations: list[Calibration | None] = [None] * len(self._specs)
        for place in held_out[0]:
            pairs = [of_split[place] for of_split in held_out]
            outputs, ratings = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
            line = fit_calibration(outputs, ratings, logistic=self._recipe.score_map == "logistic")
            mean, spread = self._moments(trial, place)
            calibrations[place] = Calibration(slope=line.slope / spread, shift=line.shift - line.slope * mean / spread)
        self._export(trial, calibrations, results)

    def _export(self, trial: Trial, calibrations: Sequence[Calibration | None], results: Sequence[SplitResult]) -> None:
        """Write each head's metric into its folder."""
        figures = card_figures(results)
        for place, spec in enumerate(self._specs):
            calibration = calibrations[place]
            if calibration is not None:
                fold_calibration(trial.learner.metric(place), calibration)
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


def _median_epoch(results: Sequence[SplitResult]) -> int:
    return round(float(np.median([split.best_epoch + 1 for split in results])))


def _shuffled(dataset: LabelledImages, seed: int) -> LabelledImages:
    """The data set with its labels dealt out anew."""
    order = np.random.default_rng([seed, 4]).permutation(len(dataset))
    ratings = None if dataset.ratings is None else dataset.ratings[order]
    classes = None if dataset.classes is None else dataset.classes[order]
    return replace(dataset, ratings=ratings, classes=classes)


def _identity(recipe: Recipe, datasets: Sequence[LabelledImages], encoder: str) -> str:
    """What is trained, on what: a hash of recipe, images by name, labels, groups, official splits and encoder."""
    digest = hashlib.sha256(json.dumps([recipe_to_yaml(recipe), encoder]).encode())
    for dataset in datasets:
        digest.update(json.dumps(dataset.names).encode("utf-8", "surrogatepass"))
        labels = dataset.classes if dataset.ratings is None else dataset.ratings
        digest.update(np.ascontiguousarray(labels).tobytes())
        parts = [
            part.tolist() for split in dataset.official_splits for part in (split.train, split.validation, split.test)
        ]
        tested = None if dataset.test_only is None else dataset.test_only.tolist()
        content = [dataset.labels, dataset.groups, dataset.contents, tested, parts]
        digest.update(json.dumps(content).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
