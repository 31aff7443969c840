"""Checkpoints of a model that holds a loss: without the metric's weights, and loaded strictly all the same."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from perceptmetrics.models.losses import PerceptualLoss
from tests.losses.restoration import made_loss, network, pictures
from tests.support.mean_colour_metric import tiny_metric


class Model(nn.Module):
    """As a user would write it."""

    def __init__(self, loss, seed=0):
        super().__init__()
        self.network = network()
        self.loss = loss
        with torch.no_grad():
            self.network.layers[0].bias.fill_(seed)


def test_a_checkpoint_holds_the_network_alone():
    model = Model(made_loss("lite_iqa", loss_weight=torch.ones(2)))
    assert set(model.state_dict()) == {f"network.{name}" for name in model.network.state_dict()}
    assert not model.loss.state_dict()
    assert model.loss.metric.state_dict()


def test_a_checkpoint_loads_strictly_and_leaves_the_metric_as_it_is():
    one, other = Model(made_loss("lite_iqa"), 1), Model(made_loss("lite_iqa"), 2)
    expected = other.loss(pictures())
    buffer = io.BytesIO()
    torch.save(one.state_dict(), buffer)
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer, weights_only=True), strict=True)
    assert other.network.layers[0].bias.tolist() == [1.0] * 4
    assert torch.equal(other.loss(pictures()), expected)


def test_what_else_is_missing_is_still_an_error():
    model = Model(PerceptualLoss(tiny_metric()))
    state = model.state_dict()
    del state["network.layers.0.bias"]
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "network.layers.0.bias"\. $'):
        model.load_state_dict(state)


def test_weights_that_a_checkpoint_does_hold_are_loaded_into_the_metric_alone():
    model = Model(PerceptualLoss(tiny_metric()))
    weights = {name: torch.zeros_like(value) for name, value in model.loss.metric.state_dict().items()}
    before = model.loss(pictures())
    model.load_state_dict(model.state_dict() | {f"loss.metric.{name}": value for name, value in weights.items()})
    assert torch.equal(model.loss(pictures()), before)
    model.loss.metric.load_state_dict(weights)
    assert not model.loss.metric.encoder.linear.weight.any()
    del weights["encoder.linear.weight"]
    with pytest.raises(
        RuntimeError, match=r'for Metric:\s+Missing key\(s\) in state_dict: "encoder.linear.weight"\. $'
    ):
        model.loss.metric.load_state_dict(weights)


def test_loading_a_network_does_not_copy_the_tensors_that_metrics_share():
    model = Model(PerceptualLoss(tiny_metric()))
    encoder = model.loss.metric.encoder
    addresses = [parameter.data_ptr() for parameter in encoder.parameters()]
    encoder.shared = encoder.shared.with_copy(encoder)
    model.load_state_dict(model.state_dict())
    assert [parameter.data_ptr() for parameter in encoder.parameters()] == addresses


def test_copies_and_pickles_are_whole():
    loss = made_loss("lite_iqa", loss_weight=0.5)
    expected = loss(pictures())
    for same in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert torch.equal(same(pictures()), expected)
        assert not same.state_dict()
