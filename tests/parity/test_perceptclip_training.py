"""Three training steps of PerceptCLIP at full size equal those of transformers + peft + torch.optim.

Dropout is off in this comparison, since no two implementations draw the same; that it acts where peft's does is shown
by `tests/unit/test_lora_peft.py` with the same masks in both. Encoder, adapters and head are compared with the loss of
quality; the losses of memorability and emotion, through the head down to the gradient of the features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perceptmetrics import Metric, metric_info
from perceptmetrics.functional.loss import plcc_loss
from perceptmetrics.models.heads import MlpHead
from tests.parity.reference_perceptclip import EMBEDDING, LAYERS, MEAN, RANK, STD, WIDTH, Head, load_released
from tests.support.photographs import photographs
from tests.support.unmerged_perceptclip import trainable_parameters, unmerged_metric

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4
STEPS = 3
LEARNING_RATE, WEIGHT_DECAY = 5e-5, 1e-4  # of the release
RATINGS = torch.tensor([0.9, 0.2, 0.6])
NO_GRADIENT = "mlp.fc3.bias"  # with PLCC, which a shift does not change
TOWER = "model.base_model.model.encoder.layers"

State = dict[str, Tensor]


@dataclass
class Course:
    """What three steps went through, by the reference's names of the trained tensors."""

    losses: list[float] = field(default_factory=list)
    gradients: list[State] = field(default_factory=list)
    start: State = field(default_factory=dict)
    end: State = field(default_factory=dict)


def train(parameters: dict[str, nn.Parameter], loss: Callable[[], Tensor]) -> Course:
    """Train with AdamW."""
    course = Course(start={name: parameter.detach().clone() for name, parameter in parameters.items()})
    optimizer = torch.optim.AdamW(parameters.values(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    for _ in range(STEPS):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        course.losses.append(value.item())
        course.gradients.append({name: parameter.grad.clone() for name, parameter in parameters.items()})
        optimizer.step()
    course.end = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    return course


def published_names(head_layers: list[int]) -> dict[str, str]:
    """The reference's names of all tensors that train, by ours."""
    names = {}
    for number in range(LAYERS):
        for part in "qkv":
            ours = f"encoder.visual.transformer.resblocks.{number}.attn.in_proj.adapters.{part}"
            theirs = f"{TOWER}.{number}.self_attn.{part}_proj"
            names[f"{ours}.down.weight"] = f"{theirs}.lora_A.default.weight"
            names[f"{ours}.up.weight"] = f"{theirs}.lora_B.default.weight"
    for number, layer in enumerate(head_layers, start=1):
        for kind in ("weight", "bias"):
            names[f"head.layers.{layer}.{kind}"] = f"mlp.fc{number}.{kind}"
    return names


def normalised() -> Tensor:
    images = photographs(224, 224)[: len(RATINGS)]
    return (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


@pytest.fixture(scope="module")
def metric(files: dict[str, Path]) -> Metric:
    return unmerged_metric(files["perceptclip_iqa"], "perceptclip_iqa", dropout=0.0)


@pytest.fixture(scope="module")
def frozen(metric: Metric) -> State:
    """What must not change, as it was before."""
    trained = trainable_parameters(metric)
    return {name: tensor.clone() for name, tensor in metric.state_dict().items() if name not in trained}


@pytest.fixture(scope="module")
def ours(metric: Metric, frozen: State) -> Course:
    parameters = trainable_parameters(metric)
    names = published_names([place for place, layer in enumerate(metric.head.layers) if isinstance(layer, nn.Linear)])
    assert parameters.keys() == names.keys()
    pixels = normalised()
    return train(
        {names[name]: parameter for name, parameter in parameters.items()},
        lambda: plcc_loss(metric.head(metric.encode([pixels])[0])[:, 0], RATINGS),
    )


@pytest.fixture(scope="module")
def theirs(states: dict[str, State]) -> Course:
    model = load_released(states["perceptclip_iqa"]).train()
    parameters = {}
    for name, parameter in model.named_parameters():
        if ".lora_" in name or name.startswith("mlp."):
            parameter.data = parameter.data.clone()  # the tensors belong to all tests
            parameters[name] = parameter.requires_grad_()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    pixels = normalised()
    return train(parameters, lambda: (1 - torch.corrcoef(torch.stack([model(pixels)[:, 0], RATINGS]))[0, 1]) / 2)


def test_losses(ours: Course, theirs: Course) -> None:
    assert ours.losses == pytest.approx(theirs.losses, abs=TOLERANCE)
    assert min(theirs.losses[0] - theirs.losses[1], theirs.losses[1] - theirs.losses[2]) > 10 * TOLERANCE


def test_gradients(ours: Course, theirs: Course) -> None:
    for mine, other in zip(ours.gradients, theirs.gradients, strict=True):
        assert mine.keys() == other.keys()
        for name in other.keys() - {NO_GRADIENT}:
            assert other[name].abs().max() > 1e-6, name
            assert (mine[name] - other[name]).abs().max() <= TOLERANCE, name
            assert (mine[name] - other[name]).norm() <= 10 * TOLERANCE * other[name].norm(), name
        assert max(mine[NO_GRADIENT].abs(), other[NO_GRADIENT].abs()) < 1e-7


def test_updated_weights(ours: Course, theirs: Course) -> None:
    """Wherever there is a gradient.

    PLCC does not change with a shift of all predictions, so a bias in front of units that are on for all images has
    none; of what rounding leaves there AdamW makes steps of full size.
    """
    for name in theirs.end.keys() - {NO_GRADIENT}:
        steep = torch.stack([g[name].abs() > 0.01 * g[name].abs().max() for g in theirs.gradients]).all(dim=0)
        update, own = theirs.end[name] - theirs.start[name], ours.end[name] - ours.start[name]
        assert update[steep].abs().max() > LEARNING_RATE, name
        assert (own - update)[steep].abs().max() <= 0.03 * LEARNING_RATE, name
        assert steep.float().mean() > 0.05, name


def test_nothing_else_is_trained(metric: Metric, frozen: State, ours: Course) -> None:
    """Nor are the projection, the classes' embedding or the layer norms; and fewer than 3.7 million numbers are."""
    after = metric.state_dict()
    assert len(frozen) > 290
    assert all(torch.equal(after[name], tensor) for name, tensor in frozen.items())
    assert {name for name, parameter in metric.named_parameters() if parameter.grad is not None}.isdisjoint(frozen)
    count = sum(tensor.numel() for tensor in ours.end.values())
    assert count == LAYERS * 3 * 2 * RANK * WIDTH + 525_313
    assert count < 3_700_000


HEADS: dict[str, tuple[str, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "quality": (
        "perceptclip_iqa",
        lambda outputs: plcc_loss(outputs[:, 0], RATINGS),
        lambda outputs: (1 - torch.corrcoef(torch.stack([outputs[:, 0], RATINGS]))[0, 1]) / 2,
    ),
    "memorability": (
        "perceptclip_mem",
        lambda outputs: F.mse_loss(outputs[:, 0], RATINGS),
        lambda outputs: ((outputs[:, 0] - RATINGS) ** 2).mean(),
    ),
    "emotion": (
        "perceptclip_emo",
        lambda outputs: F.cross_entropy(outputs, torch.tensor([2, 0, 7])),
        lambda outputs: -outputs.softmax(dim=1)[torch.arange(3), [2, 0, 7]].log().mean(),
    ),
}


@pytest.mark.parametrize("task", HEADS)
def test_heads_and_their_losses(task: str) -> None:
    """Three steps of the head alone, down to the gradient of the features."""
    name, our_loss, their_loss = HEADS[task]
    spec = metric_info(name).head
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = Head(spec.widths[-1]).eval()  # without dropout
        given = torch.randn(3, EMBEDDING)
    ours = MlpHead(spec).eval()
    pairs = list(zip(ours.parameters(), theirs.parameters(), strict=True))
    with torch.no_grad():
        for mine, other in pairs:
            mine.copy_(other)
    results = []
    for head, loss in ((ours, our_loss), (theirs, their_loss)):
        features = given.clone().requires_grad_()
        course = train(
            dict(head.named_parameters()), lambda head=head, loss=loss, features=features: loss(head(features))
        )
        results.append([torch.tensor(course.losses), features.grad, *course.gradients[-1].values()])
        if task != "quality":  # whose weights are compared above, where they have a gradient
            results[-1] += course.end.values()
    assert results[1][1].abs().max() > 1e-3
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, atol=TOLERANCE, rtol=0.0)
