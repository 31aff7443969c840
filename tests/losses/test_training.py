"""A metric is a loss like any other in training: autocast, checkpointing, compilation, accumulation, optimizers."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from perceptmetrics import create_metric
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.models.losses import PerceptualLoss
from tests.fuzz.law import within_limits
from tests.losses.restoration import NAMES, gradients, made_loss, network, pictures
from tests.support.mean_colour_metric import tiny_metric

every_kind = pytest.mark.parametrize("name", NAMES)


def trained(loss, images, context=None):
    """Loss, and gradients of the restoration network, of one backward pass."""
    restorer = network()
    with context or torch.autocast("cpu", enabled=False):
        value = loss(restorer(images))
    value.backward()
    return value.detach(), gradients(restorer)


def cosine(ours, theirs):
    """Between all gradients as one vector."""
    return torch.cosine_similarity(*(torch.cat([one.flatten() for one in side]) for side in (ours, theirs)), dim=0)


@every_kind
def test_autocast_gives_a_float32_loss_near_that_without(name):
    loss = made_loss(name)
    value, found = trained(loss, pictures(), torch.autocast("cpu", dtype=torch.bfloat16))
    expected, full = trained(loss, pictures())
    assert value.dtype == loss.score.dtype == torch.float32
    torch.testing.assert_close(value, expected, rtol=0.05, atol=0.05)
    assert all(gradient.dtype == torch.float32 for gradient in found)
    assert cosine(found, full) > 0.8


@every_kind
def test_images_in_bfloat16_give_a_gradient_in_bfloat16(name):
    pixels = pictures().bfloat16().requires_grad_()
    made_loss(name)(pixels).backward()
    assert pixels.grad.dtype == torch.bfloat16
    assert pixels.grad.isfinite().all()


def numbers_kept(loss, images):
    """How many numbers the graph of a loss keeps, weights apart."""
    kept = {}

    def keep(tensor):
        kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        value = loss(images)
    own = {tensor.data_ptr() for tensor in loss.metric.parameters()}
    return value, sum(size for place, size in kept.items() if place not in own)


@every_kind
def test_checkpointing_keeps_less_and_changes_nothing_else(name):
    plain, checkpointed = made_loss(name), made_loss(name, checkpointing=True)
    assert not plain.metric.encoder.checkpointing
    results = []
    for loss in (plain, checkpointed):
        pixels = pictures().requires_grad_()
        value, kept = numbers_kept(loss, pixels)
        value.backward()
        results.append((value.detach(), pixels.grad, kept))
    (value, gradient, kept), (again, same, fewer) = results
    assert torch.equal(value, again)
    torch.testing.assert_close(gradient, same, rtol=1e-4, atol=1e-7)
    assert fewer < 0.7 * kept


def test_checkpointing_is_refused_where_it_cannot_be_done():
    with pytest.raises(InvalidOptionError, match="MeanColour cannot compute its activations again"):
        PerceptualLoss(tiny_metric(), checkpointing=True)


@every_kind
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # by the compiler itself
def test_a_compiled_loss_has_no_graph_break_and_the_same_gradient(name):
    loss = made_loss(name)
    torch._dynamo.reset()
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    value, found = trained(compiled, pictures())
    expected, full = trained(loss, pictures())
    torch.testing.assert_close(value, expected)
    for one, other in zip(found, full, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
    assert torch.equal(compiled.score, loss.score) or torch.allclose(compiled.score, loss.score)


def test_lite_iqa_is_compiled_at_further_sizes_within_seconds():
    """A program for any size would take minutes: timm's padding is a formula of the size in every layer."""
    metric = create_metric("lite_iqa")
    torch._dynamo.reset()
    compiled = torch.compile(metric, backend="eager", fullgraph=True)
    with within_limits(seconds=60):
        for count, height, width in ((2, 64, 64), (2, 96, 80), (1, 128, 100)):
            images = torch.rand((count, 3, height, width), generator=torch.Generator().manual_seed(height))
            torch.testing.assert_close(compiled(images), metric(images))


@every_kind
def test_gradients_of_parts_add_up_to_those_of_the_batch(name):
    """Accumulation as everybody writes it: each part's mean over the number of parts."""
    loss, images = made_loss(name), pictures(4)
    restorer = network()
    for part in images.split(1):
        (loss(restorer(part)) / 4).backward()
    _, whole = trained(loss, images)
    for one, other in zip(gradients(restorer), whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


@every_kind
def test_the_metric_gets_no_gradient_and_takes_no_memory_of_an_optimizer(name):
    model = nn.ModuleDict({"network": network(), "loss": made_loss(name)}).train()
    before = copy.deepcopy(model["loss"].metric.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    model["loss"](model["network"](pictures())).backward()
    optimizer.step()
    assert not [parameter for parameter in model["loss"].parameters() if parameter.requires_grad]
    assert all(parameter.grad is None for parameter in model["loss"].parameters())
    assert set(optimizer.state) == set(model["network"].parameters())
    after = model["loss"].metric.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


@every_kind
def test_training_mode_of_the_surrounding_model_changes_nothing(name):
    loss = made_loss(name)
    before = loss(pictures())
    nn.ModuleDict({"loss": loss}).train()
    assert not any(module.training for module in loss.metric.modules() if not list(module.children()))
    assert torch.equal(loss(pictures()), before)


@every_kind
def test_minimising_makes_the_score_better(name):
    loss, restorer = made_loss(name), network()
    optimizer = torch.optim.Adam(restorer.parameters(), lr=2e-3)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        value = loss(restorer(pictures()))
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < losses[0]
