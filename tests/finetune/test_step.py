"""One training step: its parts, its loss over all processes, clipping, and dropout that is new at each step."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from perceptmetrics.finetune.data.batches import Batch, Draw
from perceptmetrics.finetune.recipe import OptimizerRecipe
from perceptmetrics.finetune.training.step import Steps

COUNT, WIDTH = 12, 5


class OneProcess:
    """Stands in for `Processes`: a single one, or one of several that has the outputs of all."""

    def __init__(self, rank=0, world=1, outputs=None):
        self.rank, self.world, self._outputs = rank, world, outputs
        self.synchronises = []

    def autocast(self):
        return nullcontext()

    def synchronised(self, model, *, last):
        self.synchronises.append(last)
        return nullcontext()

    def backward(self, loss):
        loss.backward()

    def clip(self, model, norm):
        torch.nn.utils.clip_grad_norm_(model.parameters(), norm)

    def gather(self, rows, counts):
        if self.world == 1:
            return rows
        parts = self._outputs(counts)
        parts[self.rank] = rows
        return torch.cat(parts)


class Linear(nn.Module):
    """A model of two data sets with dropout, whose samples are vectors."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(dropout), nn.Linear(WIDTH, 1, dtype=torch.float64))
        self.seen = []

    def forward(self, samples):
        outputs = [
            self.layers(torch.stack([sample[0] for sample in one])) if one else torch.zeros(0, 1, dtype=torch.float64)
            for one in samples
        ]
        self.seen.append([rows.detach().clone() for rows in outputs])
        return outputs


class Mse:
    """Mean squared error, and what it was asked for."""

    def __init__(self, labels):
        self.labels, self.asked = labels, []

    def __call__(self, outputs, indices):
        self.asked.append(list(indices))
        return (outputs[:, 0] - self.labels[indices]).square().mean()


@pytest.fixture
def vectors():
    return torch.randn(COUNT, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def labels():
    return torch.randn(COUNT, generator=torch.Generator().manual_seed(1))


def training_set(labels, *, weight=1.0, encoded=True):
    return SimpleNamespace(feed=SimpleNamespace(encoded=encoded), objective=Mse(labels), weight=weight)


def batch_of(*counts):
    return Batch(parts=tuple(tuple(Draw(index=index, seed=(index,)) for index in range(count)) for count in counts))


def model_of(dropout=0.0):
    torch.manual_seed(3)
    return Linear(dropout)


def step(recipe, sets, batch, vectors, *, model=None, position=(0, 0), processes=None, seed=(0,), lr=1.0):
    """Take a step of plain gradient descent; return the model, the loss and the change of the weights."""
    model = model or model_of()
    processes = processes or OneProcess()
    steps = Steps(sets, recipe, seed, processes)
    samples = [[[vectors[draw.index]] for draw in draws] for draws in steps.divide(batch)[processes.rank]]
    before = [weight.detach().clone() for weight in model.parameters()]
    loss = steps.take(model, torch.optim.SGD(model.parameters(), lr=lr), batch, samples, position)
    assert all(weight.grad is None for weight in model.parameters())
    moved = [weight.detach() - start for weight, start in zip(model.parameters(), before, strict=True)]
    return model, loss, torch.cat([one.flatten() for one in moved])


def reference(vectors, labels, weights=(1.0,), counts=(COUNT,)):
    """Loss and negative gradient by autograd, of the mean over the data sets."""
    model = model_of()
    losses = [
        weight * (model.layers(vectors[:count])[:, 0] - labels[:count]).square().mean()
        for weight, count in zip(weights, counts, strict=True)
    ]
    loss = sum(losses) / len(losses)
    loss.backward()
    return float(loss.detach()), -torch.cat([weight.grad.flatten() for weight in model.parameters()])


@pytest.mark.parametrize("accumulation", [1, 2, 3, 5, COUNT])
def test_step_in_any_number_of_parts_follows_the_gradient_of_the_whole_batch(accumulation, vectors, labels):
    processes = OneProcess()
    recipe = OptimizerRecipe(accumulation=accumulation)
    model, loss, moved = step(recipe, [training_set(labels)], batch_of(COUNT), vectors, processes=processes)
    expected, gradient = reference(vectors, labels)
    assert loss == pytest.approx(expected)
    torch.testing.assert_close(moved, gradient)
    sizes = [sum(map(len, outputs)) for outputs in model.seen]
    if accumulation == 1:
        assert sizes == [COUNT]
        assert not processes.synchronises
    else:  # once for the outputs, once for the gradients
        assert sizes[:accumulation] == sizes[accumulation:]
        assert sum(sizes) == 2 * COUNT
        assert max(sizes) == -(-COUNT // accumulation)
        assert processes.synchronises == [False] * (accumulation - 1) + [True]


@pytest.mark.parametrize("accumulation", [1, 3])
def test_loss_is_the_weighted_mean_over_the_data_sets(accumulation, vectors, labels):
    sets = [training_set(labels, weight=2.0), training_set(labels, weight=0.5)]
    _, loss, moved = step(OptimizerRecipe(accumulation=accumulation), sets, batch_of(COUNT, 5), vectors)
    expected, gradient = reference(vectors, labels, (2.0, 0.5), (COUNT, 5))
    assert loss == pytest.approx(expected)
    torch.testing.assert_close(moved, gradient)
    first = sets[0].objective.asked[0]
    assert sorted(first) == list(range(COUNT))


def test_data_set_without_samples_in_a_batch_is_left_out(vectors, labels):
    sets = [training_set(labels), training_set(labels, weight=9.0)]
    _, loss, moved = step(OptimizerRecipe(accumulation=2), sets, batch_of(COUNT, 0), vectors)
    expected, gradient = reference(vectors, labels)
    assert loss == pytest.approx(expected)
    torch.testing.assert_close(moved, gradient)
    assert not sets[1].objective.asked


def test_pixels_of_a_grown_batch_go_through_the_encoder_in_parts_of_its_size(labels):
    steps = Steps([training_set(labels, encoded=False)], OptimizerRecipe(batch_size=4), (0,), OneProcess())
    assert [steps.parts(batch_of(count)) for count in (1, 4, 5, 6, 7, 12)] == [1, 1, 1, 2, 2, 3]
    twice = OptimizerRecipe(batch_size=4, accumulation=2)
    assert Steps([training_set(labels, encoded=False)], twice, (0,), OneProcess()).parts(batch_of(12)) == 6
    assert Steps([training_set(labels)], twice, (0,), OneProcess()).parts(batch_of(12)) == 2
    mixed = [training_set(labels), training_set(labels, encoded=False)]
    assert Steps(mixed, twice, (0,), OneProcess()).parts(batch_of(8, 4)) == 6


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("accumulation", [1, 2, 4])
def test_each_sample_belongs_to_one_process_and_one_part(world, accumulation, labels):
    recipe = OptimizerRecipe(accumulation=accumulation)
    steps = Steps([training_set(labels)] * 2, recipe, (0,), OneProcess(world=world))
    batch = batch_of(7, 5)
    divided = steps.divide(batch)
    assert len(divided) == world
    for number, draws in enumerate(batch.parts):
        shares = [process[number] for process in divided]
        assert sorted(draw.index for share in shares for draw in share) == [draw.index for draw in draws]
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("accumulation", [1, 2])
def test_gradients_of_the_processes_have_that_of_the_batch_as_their_mean(accumulation, vectors, labels):
    recipe, batch, world = OptimizerRecipe(accumulation=accumulation), batch_of(COUNT), 2
    whole = model_of().layers(vectors).detach()

    def outputs(counts):
        order = [[draw.index for draw in part[0]] for part in divided]
        return [whole[indices] for indices in order]

    divided = Steps([training_set(labels)], recipe, (0,), OneProcess(world=world)).divide(batch)
    moved = []
    for rank in range(world):
        processes = OneProcess(rank, world, outputs)
        _, loss, change = step(recipe, [training_set(labels)], batch, vectors, processes=processes)
        expected, gradient = reference(vectors, labels)
        assert loss == pytest.approx(expected)
        moved.append(change)
    torch.testing.assert_close(torch.stack(moved).mean(dim=0), gradient)


@pytest.mark.parametrize("accumulation", [1, 3])
def test_gradient_is_clipped_to_its_norm(accumulation, vectors, labels):
    free = step(OptimizerRecipe(accumulation=accumulation), [training_set(labels)], batch_of(COUNT), vectors)[2]
    recipe = OptimizerRecipe(accumulation=accumulation, clip_norm=0.01)
    held = step(recipe, [training_set(labels)], batch_of(COUNT), vectors)[2]
    assert float(free.norm()) > 0.1
    torch.testing.assert_close(held, free * (0.01 / free.norm()), rtol=1e-4, atol=0)


def masks(recipe, vectors, labels, position, *, seed=(0,), rank=0):
    """What dropout leaves of ones, in the forward passes of a step."""
    model = model_of(0.5)
    seen = []
    model.layers[0].register_forward_hook(lambda _, __, output: seen.append(output.detach() != 0))
    processes = OneProcess(rank, 2, lambda counts: [torch.zeros(count, 1) for count in counts])
    step(
        recipe,
        [training_set(labels)],
        batch_of(COUNT),
        torch.ones_like(vectors),
        model=model,
        position=position,
        seed=seed,
        processes=processes,
    )
    return seen


def test_dropout_is_new_at_each_step_part_process_and_seed_and_repeats_itself(vectors, labels):
    whole, halves = OptimizerRecipe(), OptimizerRecipe(accumulation=2)
    (first,) = masks(whole, vectors, labels, (0, 0))
    assert masks(whole, vectors, labels, (0, 0))[0].equal(first)
    others = [
        masks(whole, vectors, labels, (0, 1)),
        masks(whole, vectors, labels, (1, 0)),
        masks(whole, vectors, labels, (0, 0), seed=(1,)),
        masks(whole, vectors, labels, (0, 0), rank=1),
    ]
    drawn = [first, *(mask for (mask,) in others)]
    assert not any(one.equal(other) for number, one in enumerate(drawn) for other in drawn[:number])
    one, two, again_one, again_two = masks(halves, vectors, labels, (0, 0))
    assert one.equal(again_one)
    assert two.equal(again_two)
    assert not one.equal(two)


def test_objective_of_a_data_set_takes_its_outputs_in_float32(vectors, labels):
    types = []
    one = training_set(labels)
    one.objective = lambda outputs, indices: types.append(outputs.dtype) or outputs.mean()
    step(OptimizerRecipe(), [one], batch_of(COUNT), vectors)
    step(OptimizerRecipe(accumulation=2), [one], batch_of(COUNT), vectors)
    assert types == [torch.float32, torch.float32]


@pytest.mark.parametrize("accumulation", [1, 2])
def test_step_on_pixels_of_a_grown_batch_follows_the_gradient_of_the_whole(accumulation, vectors, labels):
    """Its draws are divided into as many parts as it goes through the encoder in, one part after the other."""
    recipe, sets = OptimizerRecipe(batch_size=4, accumulation=accumulation), [training_set(labels, encoded=False)]
    batch, count = batch_of(COUNT), 3 * accumulation
    (draws,) = Steps(sets, recipe, (0,), OneProcess()).divide(batch)[0]
    assert [draw.index for draw in draws] == [index for part in range(count) for index in range(part, COUNT, count)]
    model, loss, moved = step(recipe, sets, batch, vectors)
    expected, gradient = reference(vectors, labels)
    assert loss == pytest.approx(expected)
    torch.testing.assert_close(moved, gradient)
    assert [len(rows) for (rows,) in model.seen] == [COUNT // count] * 2 * count
