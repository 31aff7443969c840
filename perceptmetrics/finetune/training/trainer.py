"""The training loop: the epochs of one training, its validation and its state."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from perceptmetrics.datasets import LabelledImages
from perceptmetrics.errors import DatasetError
from perceptmetrics.finetune.data.batches import epoch_batches, training_units
from perceptmetrics.finetune.data.feeds import in_order
from perceptmetrics.finetune.data.objectives import can_select, selection_statistic
from perceptmetrics.finetune.model.learner import predict
from perceptmetrics.finetune.model.start import EncoderSource
from perceptmetrics.finetune.processes import Processes
from perceptmetrics.finetune.recipe import Recipe
from perceptmetrics.finetune.training.epochs import EpochRecord, Observer, kept_epoch
from perceptmetrics.finetune.training.journal import Journal
from perceptmetrics.finetune.training.state import (
    Progress,
    TrainingState,
    load_optimizer,
    load_weights,
    optimizer_tensors,
    read_state,
    state_named,
    trained_tensors,
    write_state,
)
from perceptmetrics.finetune.training.step import Steps, learning_rate
from perceptmetrics.spec import MetricSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from perceptmetrics.finetune.data.batches import Batch, TrainingSet
    from perceptmetrics.finetune.data.feeds import Sample
    from perceptmetrics.finetune.model.learner import Learner
    from perceptmetrics.finetune.recipe import OptimizerRecipe
    from perceptmetrics.finetune.training.epochs import StageName

__all__ = ["RunContext", "Stage"]

_SAVE_AFTER = 300.0  # seconds without a save; the end of an epoch is always saved


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What all trainings of a run have in common.

    Attributes:
        recipe: The recipe.
        recipe_text: Its file in the folder of the run.
        datasets: Its data sets.
        specs: The metrics, one for each head.
        source: Source of the encoder's weights.
        folder: Folder of the run.
        identity: Identity of the run: what is trained, and on what.
        processes: The processes that train together.
        journal: Where epochs are written.
        observer: Follows the progress.
    """

    recipe: Recipe
    recipe_text: str
    datasets: Sequence[LabelledImages]
    specs: Sequence[MetricSpec]
    source: EncoderSource
    folder: Path
    identity: str
    processes: Processes
    journal: Journal
    observer: Observer

    @property
    def state_folder(self) -> Path:
        """Folder of what a stopped run resumes from; it is deleted when the run is finished."""
        return self.folder / "state"


class Stage:
    """One training, from its start to its best epoch.

    Args:
        name: Which training of the run.
        learner: The model; its weights that require gradients are trained.
        sets: The data sets.
        recipe: How weights are updated, with the first of its learning rates.
        seed: Seed of everything random.
        run: The run.
    """

    def __init__(
        self,
        name: StageName,
        learner: Learner,
        sets: Sequence[TrainingSet],
        recipe: OptimizerRecipe,
        *,
        seed: Sequence[int],
        run: RunContext,
    ) -> None:
        self._name, self._learner, self._sets, self._recipe = name, learner, sets, recipe
        self._seed, self._run, self._processes = tuple(seed), run, run.processes
        self._state_file = run.state_folder / f"{name.filename}.safetensors"
        self._units = [
            training_units(one.split.train, one.dataset.groups if one.dataset.ranks_within_groups else None)
            for one in sets
        ]
        self._steps = Steps(sets, recipe, seed, run.processes)
        self._progress = Progress(identity=f"{run.identity} {name.filename} {recipe.epochs}")
        self._best: dict[str, Tensor] = {}
        self._saved = time.monotonic()

    def train(self) -> list[EpochRecord]:
        """Train, or resume a training that was stopped; afterwards the learner has the weights of the best epoch.

        Returns:
            The epochs.
        """
        state = read_state(self._state_file, self._progress.identity)
        if state is not None and state.progress.finished:
            with state_named(self._state_file):
                load_weights(self._learner, state.best)
            self._run.journal.write(self._name, state.progress.records)
            return state.progress.records
        self._learner.to(self._processes.device)
        self._optimizer = self._new_optimizer()
        self._processes.reset_scaler()
        if state is not None:
            self._restore(state)
        model, optimizer = self._processes.prepare(self._learner, self._optimizer)
        with torch.random.fork_rng():
            while not self._progress.finished:
                self._epoch(model, optimizer)
        self._processes.release()
        load_weights(self._learner, self._best)
        return self._progress.records

    def _epoch(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        progress, started = self._progress, time.monotonic() - self._progress.seconds
        batches = epoch_batches(
            self._units,
            batch_size=self._recipe.batch_size,
            replicas=[one.replicas for one in self._sets],
            seed=self._seed,
            epoch=progress.epoch,
            fewest=[one.objective.fewest(self._recipe.min_samples) for one in self._sets],
        )
        self._learner.train()
        for batch, samples in self._stream(batches[progress.step :]):
            for group in optimizer.param_groups:
                group["lr"] = self._lr(progress.step, len(batches)) * group["factor"]
            loss = self._steps.take(model, optimizer, batch, samples, (progress.epoch, progress.step))
            progress.loss_sum += loss
            progress.step += 1
            progress.seconds = time.monotonic() - started
            self._run.observer.step(self._name, progress.epoch, progress.step, len(batches), loss)
            if time.monotonic() - self._saved > _SAVE_AFTER:
                self._save()
        self._finish_epoch(len(batches), started)

    def _lr(self, step: int, steps: int) -> float:
        """The learning rate of a step of the current epoch, which has `steps` steps."""
        done = self._progress.epoch * steps + step
        return learning_rate(self._recipe, self._recipe.lr[0], done, steps * self._recipe.epochs)

    def _finish_epoch(self, steps: int, started: float) -> None:
        """Validate, keep the weights if they are the best, decide whether to continue, save."""
        progress = self._progress
        validation, losses = self._validate()
        record = EpochRecord(
            epoch=progress.epoch,
            loss=progress.loss_sum / steps,
            validation_loss=float(np.mean(losses)) if losses else float("nan"),
            validation=validation,
            selection=float(np.mean(list(validation.values()))) if validation else float("nan"),
            lr=self._lr(steps - 1, steps),
            seconds=time.monotonic() - started,
        )
        records = [*progress.records, record]
        best = kept_epoch(records, self._recipe.keep)
        if best == progress.epoch:
            self._best = {name: weight.detach().clone() for name, weight in trained_tensors(self._learner).items()}
        patience = self._recipe.patience
        stale = patience is not None and progress.epoch - best >= patience
        self._progress = Progress(
            identity=progress.identity,
            epoch=progress.epoch + 1,
            records=records,
            finished=stale or len(records) == self._recipe.epochs,
        )
        self._save()
        self._run.journal.write(self._name, records)
        self._run.observer.epoch(self._name, record, best)

    def _validate(self) -> tuple[dict[str, float], list[float]]:
        """Of data sets whose validation images allow it, the statistic by which models are selected, and the loss."""
        statistics, losses = {}, []
        for index, one in enumerate(self._sets):
            images = one.split.validation
            if can_select(one.dataset, images):
                outputs = predict(self._learner, index, one.feed, images, self._processes)
                statistics[one.dataset.name] = selection_statistic(one.dataset, outputs, images)
                losses.append(float(one.weight * one.objective(torch.from_numpy(outputs), images.tolist())))
        return statistics, losses

    def _stream(self, batches: Sequence[Batch]) -> Iterator[tuple[Batch, list[list[Sample]]]]:
        """Yield each batch with this process's samples of each data set, in the order of `Steps.divide`."""
        parts = [self._steps.divide(batch)[self._processes.rank] for batch in batches]
        reads = not all(one.feed.encoded for one in self._sets)
        tasks = (
            [
                partial(one.feed.training_sample, draw)
                for one, draws in zip(self._sets, part, strict=True)
                for draw in draws
            ]
            for part in parts
        )
        for batch, part, shown in zip(batches, parts, in_order(tasks, threads=reads), strict=True):
            if not shown:
                raise DatasetError(
                    f"A batch of {len(batch)} images is too small for {self._processes.world} processes. Raise "
                    "optimizer.batch_size."
                )
            samples = iter(shown)
            yield batch, [list(islice(samples, len(draws))) for draws in part]

    def _new_optimizer(self) -> torch.optim.Optimizer:
        encoder = {id(weight) for weight in self._learner.metric(0).encoder.parameters()}
        weights = trained_tensors(self._learner).values()
        groups = [
            {"params": [weight for weight in weights if id(weight) not in encoder], "factor": 1.0},
            {
                "params": [weight for weight in weights if id(weight) in encoder],
                "factor": self._recipe.encoder_lr_factor,
            },
        ]
        groups = [group for group in groups if group["params"]]
        recipe = self._recipe
        if recipe.algorithm == "sgd":
            return torch.optim.SGD(groups, lr=recipe.lr[0], momentum=recipe.momentum, weight_decay=recipe.weight_decay)
        return torch.optim.AdamW(groups, lr=recipe.lr[0], weight_decay=recipe.weight_decay)

    def _save(self) -> None:
        self._progress.scaler = self._processes.scaler_state()
        weights = trained_tensors(self._learner)
        if self._processes.is_first:
            state = TrainingState(
                progress=self._progress,
                weights={} if self._progress.finished else weights,
                best=self._best,
                optimizer={} if self._progress.finished else optimizer_tensors(self._optimizer, weights),
            )
            write_state(self._state_file, state)
        self._saved = time.monotonic()

    def _restore(self, state: TrainingState) -> None:
        self._progress = state.progress
        self._best = {name: tensor.to(self._processes.device) for name, tensor in state.best.items()}
        with state_named(self._state_file):
            load_weights(self._learner, state.weights)
            load_optimizer(self._optimizer, trained_tensors(self._learner), state.optimizer)
        self._run.journal.write(self._name, state.progress.records)
        self._processes.load_scaler_state(state.progress.scaler)
