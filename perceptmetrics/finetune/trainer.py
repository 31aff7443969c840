"""The training loop."""

from __future__ import annotations

import time
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from perceptmetrics.errors import DatasetError
from perceptmetrics.finetune.data import epoch_batches, training_units
from perceptmetrics.finetune.feeds import in_order
from perceptmetrics.finetune.learner import predict
from perceptmetrics.finetune.objectives import can_be_judged, selection_figure
from perceptmetrics.finetune.results import EpochRecord, kept_epoch
from perceptmetrics.finetune.state import (
    Progress,
    TrainingState,
    load_optimizer,
    load_weights,
    optimizer_tensors,
    read_state,
    trained_tensors,
    write_state,
)
from perceptmetrics.finetune.step import Steps, rate_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from perceptmetrics.finetune.data import Batch, TrainingSet
    from perceptmetrics.finetune.feeds import Sample
    from perceptmetrics.finetune.learner import Learner
    from perceptmetrics.finetune.processes import Processes
    from perceptmetrics.finetune.recipe_sections import OptimizerRecipe
    from perceptmetrics.finetune.results import StageName
    from perceptmetrics.finetune.state import Journal, Observer

__all__ = ["Stage"]

_SAVE_AFTER = 300.0  # seconds without a save; an epoch is saved at its end in any case


class Stage:
    """One training from its start to its best epoch.

    Args:
        name: Which training of the run.
        learner: What is trained; what requires gradients is.
        sets: The data sets.
        recipe: How weights are updated, at the first of its learning rates.
        seed: Seed of everything that is drawn.
        processes: The processes that train together.
        state_file: Where the state is kept.
        identity: What is trained, on what.
        journal: Where epochs are written down.
        observer: Who is told.
    """

    def __init__(
        self,
        name: StageName,
        learner: Learner,
        sets: Sequence[TrainingSet],
        recipe: OptimizerRecipe,
        *,
        seed: Sequence[int],
        processes: Processes,
        state_file: Path,
        identity: str,
        journal: Journal,
        observer: Observer,
    ) -> None:
        self._name, self._learner, self._sets, self._recipe = name, learner, sets, recipe
        self._seed, self._processes = tuple(seed), processes
        self._state_file, self._journal, self._observer = state_file, journal, observer
        self._units = [
            training_units(one.split.train, one.dataset.groups if one.dataset.ranks_within_groups else None)
            for one in sets
        ]
        self._steps = Steps(sets, recipe, seed, processes)
        self._progress = Progress(identity=identity)
        self._best: dict[str, Tensor] = {}
        self._saved = time.monotonic()

    def run(self) -> list[EpochRecord]:
        """Train, or go on where a former process was stopped; the learner then has the weights of the best epoch.

        Returns:
            The epochs.
        """
        state = read_state(self._state_file, self._progress.identity)
        if state is not None and state.progress.finished:
            load_weights(self._learner, state.best)
            self._journal.write(self._name, state.progress.records)
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
        )
        self._learner.train()
        for batch, samples in self._stream(batches[progress.step :]):
            for group in optimizer.param_groups:
                group["lr"] = self._rate(progress.step, len(batches)) * group["factor"]
            loss = self._steps.take(model, optimizer, batch, samples, (progress.epoch, progress.step))
            progress.loss_sum += loss
            progress.step += 1
            progress.seconds = time.monotonic() - started
            self._observer.step(self._name, progress.epoch, progress.step, len(batches), loss)
            if time.monotonic() - self._saved > _SAVE_AFTER:
                self._save()
        self._finish_epoch(len(batches), started)

    def _rate(self, step: int, steps: int) -> float:
        """The learning rate of a step of the current epoch, which has so many."""
        done = self._progress.epoch * steps + step
        return rate_at(self._recipe, self._recipe.lr[0], done, steps * self._recipe.epochs)

    def _finish_epoch(self, steps: int, started: float) -> None:
        """Validate, keep the weights if they are the best, decide whether to go on, save."""
        progress = self._progress
        figures = {
            one.dataset.name: selection_figure(
                one.dataset,
                predict(self._learner, number, one.feed, one.split.validation, self._processes),
                one.split.validation,
            )
            for number, one in enumerate(self._sets)
            if can_be_judged(one.dataset, one.split.validation)
        }
        selection = float(np.mean(list(figures.values()))) if figures else float("nan")
        record = EpochRecord(
            epoch=progress.epoch,
            loss=progress.loss_sum / steps,
            validation=figures,
            selection=selection,
            lr=self._rate(steps - 1, steps),
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
        self._journal.write(self._name, records)
        self._observer.epoch(self._name, record, best)

    def _stream(self, batches: Sequence[Batch]) -> Iterator[tuple[Batch, list[list[Sample]]]]:
        """Each batch, with this process's samples of each data set, in the order of `Steps.order`."""
        shares = [self._steps.order(batch)[self._processes.rank] for batch in batches]
        reads = not all(one.feed.encoded for one in self._sets)
        tasks = (
            [partial(one.feed.drawn, draw) for one, draws in zip(self._sets, share, strict=True) for draw in draws]
            for share in shares
        )
        for batch, share, shown in zip(batches, shares, in_order(tasks, threads=reads), strict=True):
            if not shown:
                raise DatasetError(
                    f"A batch of {len(batch)} images is too small for {self._processes.world} processes. Raise "
                    "optimizer.batch_size."
                )
            samples = iter(shown)
            yield batch, [list(islice(samples, len(draws))) for draws in share]

    def _new_optimizer(self) -> torch.optim.Optimizer:
        encoder = {id(weight) for weight in self._learner.metric(0).backbone.parameters()}
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
        self._journal.write(self._name, state.progress.records)
        load_weights(self._learner, state.weights)
        load_optimizer(self._optimizer, trained_tensors(self._learner), state.optimizer)
        self._processes.load_scaler_state(state.progress.scaler)
