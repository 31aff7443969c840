"""One step of training: forward, the loss of the whole batch over all processes, backward, update."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from perceptmetrics.finetune.data import Batch, Draw, TrainingSet
    from perceptmetrics.finetune.feeds import Sample
    from perceptmetrics.finetune.processes import Processes
    from perceptmetrics.finetune.recipe_sections import OptimizerRecipe

__all__ = ["Steps", "rate_at"]


def rate_at(recipe: OptimizerRecipe, rate: float, step: int, total: int) -> float:
    """The learning rate of a step.

    Args:
        recipe: Schedule, warm-up, lowest rate.
        rate: The learning rate of the trial.
        step: Number of the step, from 0.
        total: Number of steps, if training does not stop early.

    Returns:
        The rate.
    """
    warm = min(1.0, (step + 1) / (recipe.warmup + 1))
    if recipe.schedule == "constant":
        return warm * rate
    period = recipe.period or total
    share = (step % period) / period
    return warm * (recipe.min_lr + (rate - recipe.min_lr) * (1 + math.cos(math.pi * share)) / 2)


class Steps:
    """Takes the steps of a training.

    Args:
        sets: The data sets.
        recipe: How weights are updated.
        seed: Seed of dropout.
        processes: The processes that train together.
    """

    def __init__(
        self, sets: Sequence[TrainingSet], recipe: OptimizerRecipe, seed: Sequence[int], processes: Processes
    ) -> None:
        self._sets, self._recipe, self._seed, self._processes = sets, recipe, tuple(seed), processes

    def order(self, batch: Batch) -> list[list[list[Draw]]]:
        """For each process and data set, what the process takes, those of one part of the batch after the other."""
        world, parts = self._processes.world, self._recipe.accumulation
        return [
            [[draw for part in range(parts) for draw in draws[rank::world][part::parts]] for draws in batch.parts]
            for rank in range(world)
        ]

    def take(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        batch: Batch,
        samples: list[list[Sample]],
        place: tuple[int, int],
    ) -> float:
        """Take a step.

        Args:
            model: What predicts.
            optimizer: What updates it.
            batch: The batch.
            samples: This process's samples of each data set, in the order of `order`.
            place: Numbers of the epoch and of the step.

        Returns:
            The loss before the update.
        """
        order = self.order(batch)
        parts = _cut(samples, self._recipe.accumulation)
        if len(parts) == 1:
            loss = self._loss(self._forward(model, parts[0], (*place, 0)), order)
            self._processes.backward(loss * self._processes.world)
        else:
            loss = self._backward_in_parts(model, parts, order, place)
        if self._recipe.clip_norm is not None:
            self._processes.clip(model, self._recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    def _forward(
        self, model: torch.nn.Module, samples: list[list[Sample]], place: tuple[int, int, int]
    ) -> list[Tensor]:
        """Predict a part of a batch; its dropout follows from the seed and its place in the training."""
        noise = np.random.SeedSequence([*self._seed, *place, self._processes.rank]).generate_state(1, np.uint64)
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
        self,
        model: torch.nn.Module,
        parts: list[list[list[Sample]]],
        order: list[list[list[Draw]]],
        place: tuple[int, int],
    ) -> Tensor:
        """The gradient of the whole batch's loss, with the activations of one part in memory at a time.

        The outputs are computed without activations first; the loss's gradient at them then flows back part by part
        (Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", RepL4NLP 2021).
        """
        with torch.no_grad():
            computed = [self._forward(model, part, (*place, number)) for number, part in enumerate(parts)]
        outputs = [torch.cat(columns).float().requires_grad_() for columns in zip(*computed, strict=True)]
        loss = self._loss(outputs, order)
        gradients = torch.autograd.grad(loss * self._processes.world, outputs, allow_unused=True)
        starts = [0] * len(outputs)
        for number, part in enumerate(parts):
            with self._processes.together(model, last=number == len(parts) - 1):
                surrogate = torch.zeros((), device=loss.device)
                for column, rows in enumerate(self._forward(model, part, (*place, number))):
                    gradient = gradients[column]
                    if gradient is not None:
                        surrogate = surrogate + (rows * gradient[starts[column] : starts[column] + len(rows)]).sum()
                    starts[column] += len(rows)
                self._processes.backward(surrogate)
        return loss


def _cut(samples: list[list[Sample]], count: int) -> list[list[list[Sample]]]:
    """Cut what a process has of a batch into parts, as `Steps.order` puts them one after the other; none is empty."""
    sizes = [[len(range(part, len(shown), count)) for part in range(count)] for shown in samples]
    streams = [iter(shown) for shown in samples]
    parts = [
        [list(islice(stream, size[part])) for stream, size in zip(streams, sizes, strict=True)] for part in range(count)
    ]
    return [part for part in parts if any(part)]
