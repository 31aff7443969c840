"""The training loop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from perceptmetrics.datasets import LabelledImages, Split
from perceptmetrics.errors import DatasetError
from perceptmetrics.finetune.batches import epoch_batches, training_units
from perceptmetrics.finetune.feeds import Feed, in_order
from perceptmetrics.finetune.objectives import Objective, can_be_judged, selection_figure
from perceptmetrics.finetune.schedule import rate_at
from perceptmetrics.finetune.state import (
    EpochRecord,
    Progress,
    TrainingState,
    kept_epoch,
    load_optimizer,
    load_weights,
    optimizer_tensors,
    read_state,
    trained_tensors,
    write_state,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from perceptmetrics.finetune.augmentation import Sample
    from perceptmetrics.finetune.batches import Batch, Draw
    from perceptmetrics.finetune.journal import Journal, Observer, StageName
    from perceptmetrics.finetune.learner import Learner
    from perceptmetrics.finetune.processes import Processes
    from perceptmetrics.finetune.recipe import OptimizerRecipe

__all__ = ["Stage", "TrainingSet", "predict"]

_SAVE_AFTER = 300.0  # seconds without a save; an epoch is saved at its end in any case
_IMAGES_AT_ONCE, _FEATURES_AT_ONCE = 8, 256  # for prediction


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """A data set with its share of a training.

    Attributes:
        dataset: The images.
        split: Which are for what.
        feed: Where their samples come from.
        objective: Their loss.
        weight: Factor of the loss.
        replicas: How often an image is shown in an epoch.
    """

    dataset: LabelledImages
    split: Split
    feed: Feed
    objective: Objective
    weight: float
    replicas: int


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
            loss = self._step(model, optimizer, batch, samples, self._rate(progress.step, len(batches)))
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
        """Each batch, with this process's samples of each data set, in the order of `_order`."""
        shares = [self._order(batch)[self._processes.rank] for batch in batches]
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

    def _order(self, batch: Batch) -> list[list[list[Draw]]]:
        """For each process and data set, what the process takes, those of one part of the batch after the other."""
        world, parts = self._processes.world, self._recipe.accumulation
        return [
            [[draw for part in range(parts) for draw in draws[rank::world][part::parts]] for draws in batch.parts]
            for rank in range(world)
        ]

    def _step(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        batch: Batch,
        samples: list[list[Sample]],
        rate: float,
    ) -> float:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        order = self._order(batch)
        parts = _cut(samples, self._recipe.accumulation)
        if len(parts) == 1:
            loss = self._loss(self._forward(model, parts[0], 0), order)
            self._processes.backward(loss * self._processes.world)
        else:
            loss = self._backward_in_parts(model, parts, order)
        if self._recipe.clip_norm is not None:
            self._processes.clip(model, self._recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    def _forward(self, model: torch.nn.Module, samples: list[list[Sample]], part: int) -> list[Tensor]:
        """Predict a part of a batch; its dropout follows from the seed and its place in the training."""
        place = (self._progress.epoch, self._progress.step, part, self._processes.rank)
        noise = np.random.SeedSequence([*self._seed, *place]).generate_state(1, np.uint64)
        torch.manual_seed(int(noise[0] >> np.uint64(1)))
        with self._processes.autocast():
            outputs: list[Tensor] = model(samples)
        return outputs

    def _loss(self, outputs: Sequence[Tensor], order: list[list[list[Draw]]]) -> Tensor:
        """Mean of the data sets' losses on the whole batch."""
        losses = []
        for number, one in enumerate(self._sets):
            counts = [len(process[number]) for process in order]
            if sum(counts):
                rows = self._processes.gather(outputs[number].float(), counts)
                indices = [draw.index for process in order for draw in process[number]]
                losses.append(one.weight * one.objective(rows, indices))
        return torch.stack(losses).mean()

    def _backward_in_parts(
        self, model: torch.nn.Module, parts: list[list[list[Sample]]], order: list[list[list[Draw]]]
    ) -> Tensor:
        """The gradient of the whole batch's loss, with the activations of one part in memory at a time.

        The outputs are computed without activations first; the loss's gradient at them then flows back part by part
        (Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", RepL4NLP 2021).
        """
        with torch.no_grad():
            computed = [self._forward(model, part, number) for number, part in enumerate(parts)]
        outputs = [torch.cat(columns).float().requires_grad_() for columns in zip(*computed, strict=True)]
        loss = self._loss(outputs, order)
        gradients = torch.autograd.grad(loss * self._processes.world, outputs, allow_unused=True)
        starts = [0] * len(outputs)
        for number, part in enumerate(parts):
            with self._processes.together(model, last=number == len(parts) - 1):
                surrogate = torch.zeros((), device=loss.device)
                for place, rows in enumerate(self._forward(model, part, number)):
                    gradient = gradients[place]
                    if gradient is not None:
                        surrogate = surrogate + (rows * gradient[starts[place] : starts[place] + len(rows)]).sum()
                    starts[place] += len(rows)
                self._processes.backward(surrogate)
        return loss

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


def _cut(samples: list[list[Sample]], count: int) -> list[list[list[Sample]]]:
    """Cut what a process has of a batch into parts, as `Stage._order` put them one after the other; none is empty."""
    sizes = [[len(range(part, len(shown), count)) for part in range(count)] for shown in samples]
    streams = [iter(shown) for shown in samples]
    parts = [
        [list(islice(stream, size[part])) for stream, size in zip(streams, sizes, strict=True)] for part in range(count)
    ]
    return [part for part in parts if any(part)]


@torch.no_grad()
def predict(
    learner: Learner, number: int, feed: Feed, indices: NDArray[np.intp], processes: Processes
) -> NDArray[np.float64]:
    """Raw outputs for images as they are scored, in float32.

    Args:
        learner: The model.
        number: Number of the data set.
        feed: Where its samples come from.
        indices: The N images.
        processes: The processes that share the work; each gets all outputs.

    Returns:
        Shape (N, K).
    """
    learner.eval()
    shares = [list(range(len(indices)))[rank :: processes.world] for rank in range(processes.world)]
    mine = indices[shares[processes.rank]]
    at_once = _FEATURES_AT_ONCE if feed.encoded else _IMAGES_AT_ONCE
    chunks = [mine[start : start + at_once] for start in range(0, len(mine), at_once)]
    tasks = ([partial(feed.fixed, int(index)) for index in chunk] for chunk in chunks)
    rows = [learner.predict(number, samples) for samples in in_order(tasks, threads=not feed.encoded)]
    own = torch.cat(rows) if rows else learner.no_rows(number)
    gathered = processes.gather(own, [len(share) for share in shares]).cpu().double().numpy()
    places = [place for share in shares for place in share]
    ordered = np.empty_like(gathered)
    ordered[places] = gathered
    return ordered
