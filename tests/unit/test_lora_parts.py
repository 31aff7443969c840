"""The parts of LoRA: matrices, names, and weights with and without them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from perceptmetrics.models.lora import Adapter, LoraProjection, lora_state, without_lora
from tests.support.adapted_encoders import spec_of, switch_on, timm_vit, with_lora

WIDTH = 12


def test_adapter_has_two_matrices_and_no_bias():
    shapes = {name: tuple(weight.shape) for name, weight in Adapter(12, 20, 3).named_parameters()}
    assert shapes == {"down.weight": (3, 12), "up.weight": (20, 3)}


def test_adapters_lie_where_the_projection_does_and_have_its_type():
    for device, dtype in (("meta", torch.float32), ("cpu", torch.float64), ("meta", torch.bfloat16)):
        projection = LoraProjection(nn.Linear(WIDTH, 3 * WIDTH, device=device, dtype=dtype), spec_of())
        assert {(weight.device.type, weight.dtype) for weight in projection.parameters()} == {(device, dtype)}


@pytest.mark.parametrize("now", ["separate", "merged"])
def test_weights_without_adapters_are_those_of_before_or_of_after_merging(now):
    plain = nn.ModuleDict({"first": nn.Linear(WIDTH, 3 * WIDTH), "other": nn.Linear(WIDTH, 2)})
    expected = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    projection = switch_on(LoraProjection(plain["first"], spec_of(("q", "v"))))
    module = nn.ModuleDict({"first": projection, "other": plain["other"]})
    update = torch.zeros(3 * WIDTH, WIDTH)
    for part, third in (("q", 0), ("v", 2)):
        adapter = projection.adapters[part]
        update[third * WIDTH : (third + 1) * WIDTH] = projection.scale * adapter.up.weight @ adapter.down.weight
    if now == "merged":
        projection.merge()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    without, merged = without_lora(module, merged=False), without_lora(module, merged=True)
    assert without.keys() == merged.keys() == expected.keys()
    for name, tensor in expected.items():
        assert without[name].equal(tensor)
        torch.testing.assert_close(merged[name], tensor + update if name == "first.weight" else tensor)
    assert all(module.state_dict()[name].equal(tensor) for name, tensor in before.items())
    assert projection.merged == (now == "merged")


def test_adapters_of_a_plain_module_are_named_by_their_own_path():
    projection = switch_on(LoraProjection(nn.Linear(WIDTH, 3 * WIDTH), spec_of(("k",))))
    module = nn.ModuleDict({"attention": nn.ModuleDict({"in_proj": projection})})
    state = lora_state(module)
    assert {name.partition(".")[0] for name in state} == {"attention"}
    assert sorted(tuple(tensor.shape) for tensor in state.values()) == [(4, WIDTH), (WIDTH, 4)]


def test_merged_weight_is_not_trained():
    projection = switch_on(LoraProjection(nn.Linear(WIDTH, 3 * WIDTH), spec_of()))
    projection.merge()
    assert not projection.base.weight.requires_grad
    projection.unmerge()
    assert not projection.base.weight.requires_grad


class Wrapped(nn.Module):
    """An encoder around a network, whose names in files are those of the network."""

    library_prefix = "network."

    def __init__(self, network):
        super().__init__()
        self.network = network


def test_adapters_of_an_encoder_are_named_as_its_library_names_their_modules():
    network = switch_on(with_lora(timm_vit(img_size=32)))
    inside, around = lora_state(network), lora_state(Wrapped(network))
    assert inside.keys() == around.keys()
    assert all(around[name].equal(matrix) for name, matrix in inside.items())
