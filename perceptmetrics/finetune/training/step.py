"""One training step: forward pass, loss of the whole batch over all processes, backward pass, optimizer update."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from perceptmetrics.finetune.data.batches import Batch, Draw, TrainingSet
    from perceptmetrics.finetune.data.feeds import Sample
    from perceptmetrics.finetune.processes import Processes
    from perceptmetrics.finetune.recipe import OptimizerRecipe

__all__ = ["Steps", "learning_rate"]


def learning_rate(recipe: OptimizerRecipe, lr: float, step: int, total: int) -> float:
    """The learning rate of a step.

    Args:
        recipe: Schedule, warm-up and lowest learning rate.
        lr: Highest learning rate.
        step: Number of the step, from 0.
        total: Number of steps if training does not stop early.
    """
    warmup = min(1.0, (step + 1) / (recipe.warmup + 1))
    if recipe.schedule == "constant":
        return warmup * lr
    period = recipe.period or total
    fraction = (step % period) / period
    return warmup * (recipe.min_lr + (lr - recipe.min_lr) * (1 + math.cos(math.pi * fraction)) / 2)


class Steps:
    """Takes the steps of one training.

    Args:
        sets: The data sets.
        recipe: How weights are updated.
        seed: Seed of dropout.
        processes: The processes that divide a batch.
    """

    def __init__(
        self, sets: Sequence[TrainingSet], recipe: OptimizerRecipe, seed: Sequence[int], processes: Processes
    ) -> None:
        self._sets, self._recipe, self._seed, self._processes = sets, recipe, tuple(seed), processes

    def parts(self, batch: Batch) -> int:
        """In how many parts a batch goes through the encoder: see `accumulation` and `min_samples`."""
        if all(one.feed.encoded for one in self._sets):
            return self._recipe.accumulation
        return self._recipe.accumulation * max(1, round(len(batch) / self._recipe.batch_size))

    def divide(self, batch: Batch) -> list[list[list[Draw]]]:
        """Divide a batch: for each process and data set, its draws, one part after the other."""
        world, parts = self._processes.world, self.parts(batch)
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
        position: tuple[int, int],
    ) -> float:
        """Take a step.

        Args:
            model: The model, prepared for all processes.
            optimizer: Its optimizer.
            batch: The batch.
            samples: This process's samples of each data set, in the order of `divide`.
            position: Numbers of the epoch and of the step.

        Returns:
            The loss before the update.
        """
        draws = self.divide(batch)
        parts = _cut(samples, self.parts(batch))
        if len(parts) == 1:
            loss = self._loss(self._forward(model, parts[0], (*position, 0)), draws)
            self._processes.backward(loss * self._processes.world)
        else:
            loss = self._backward_in_parts(model, parts, draws, position)
        if self._recipe.clip_norm is not None:
            self._processes.clip(model, self._recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    def _forward(
        self, model: torch.nn.Module, samples: list[list[Sample]], position: tuple[int, int, int]
    ) -> list[Tensor]:
        """Predict a part of a batch; dropout depends on the seed and on the position in the training alone."""
        noise = np.random.SeedSequence([*self._seed, *position, self._processes.rank]).generate_state(1, np.uint64)
        torch.manual_seed(int(noise[0] >> np.uint64(1)))
        with self._processes.autocast():
            outputs: list[Tensor] = model(samples)
        return outputs

    def _loss(self, outputs: Sequence[Tensor], draws: list[list[list[Draw]]]) -> Tensor:
        """Mean of the data sets' losses on the whole batch."""
        losses = []
        for index, one in enumerate(self._sets):
            counts = [len(process[index]) for process in draws]
            if sum(counts):
                rows = self._processes.gather(outputs[index].float(), counts)
                indices = [draw.index for process in draws for draw in process[index]]
                losses.append(one.weight * one.objective(rows, indices))
        return torch.stack(losses).mean()

    def _backward_in_parts(
        self,
        model: torch.nn.Module,
        parts: list[list[list[Sample]]],
        draws: list[list[list[Draw]]],
        position: tuple[int, int],
    ) -> Tensor:
        """Compute the gradient of the whole batch's loss with the activations of one part in memory at a time.

        A first forward pass computes the outputs without activations. The gradient of the loss with respect to them is
        then backpropagated part by part (Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited
        Setup", RepL4NLP 2021).
        """
        with torch.no_grad():
            computed = [self._forward(model, part, (*position, number)) for number, part in enumerate(parts)]
        outputs = [torch.cat(columns).float().requires_grad_() for columns in zip(*computed, strict=True)]
        loss = self._loss(outputs, draws)
        gradients = torch.autograd.grad(loss * self._processes.world, outputs, allow_unused=True)
        starts = [0] * len(outputs)
        for number, part in enumerate(parts):
            with self._processes.synchronised(model, last=number == len(parts) - 1):
                surrogate = torch.zeros((), device=loss.device)
                for column, rows in enumerate(self._forward(model, part, (*position, number))):
                    gradient = gradients[column]
                    if gradient is not None:
                        surrogate = surrogate + (rows * gradient[starts[column] : starts[column] + len(rows)]).sum()
                    starts[column] += len(rows)
                self._processes.backward(surrogate)
        return loss


def _cut(samples: list[list[Sample]], count: int) -> list[list[list[Sample]]]:
    """Cut a process's samples of a batch into its parts, in the order of `Steps.divide`; empty parts are left out."""
    sizes = [[len(range(part, len(shown), count)) for part in range(count)] for shown in samples]
    streams = [iter(shown) for shown in samples]
    parts = [
        [list(islice(stream, size[part])) for stream, size in zip(streams, sizes, strict=True)] for part in range(count)
    ]
    return [part for part in parts if any(part)]
