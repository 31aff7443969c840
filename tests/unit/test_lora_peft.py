"""LoRA on a fused projection is peft's LoRA on three layers: outputs, gradients, and dropout draw by draw."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from perceptmetrics.lora import attach_lora
from tests.tiny_lora import spec_of

WIDTH, HEADS = 12, 3
EXACT = {"atol": 1e-12, "rtol": 0.0}
TARGETS = [("q", "k", "v"), ("q",), ("v",), ("q", "v"), ("k", "v")]


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class ThreeLayers(nn.Module):
    """Attention as transformers writes it: a layer each for queries, keys and values."""

    def __init__(self, attention):
        super().__init__()
        names = ("q_proj", "k_proj", "v_proj")
        parts = zip(names, attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3), strict=True)
        for name, weight, bias in parts:
            layer = nn.Linear(WIDTH, WIDTH)
            layer.load_state_dict({"weight": weight, "bias": bias})
            setattr(self, name, layer)
        self.out_proj = copy.deepcopy(attention.out_proj)

    def forward(self, tokens):
        projected = [layer(tokens) for layer in (self.q_proj, self.k_proj, self.v_proj)]
        query, key, value = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in projected)
        weights = (query @ key.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)).softmax(dim=-1)
        return self.out_proj((weights @ value).transpose(1, 2).flatten(2))


class Ours(nn.Module):
    def __init__(self, attention):
        super().__init__()
        self.attn = attention

    def forward(self, tokens):
        return self.attn(tokens, tokens, tokens, need_weights=False)[0]


def pair(spec):
    """Our attention and peft's with the same weights, in float64; and the matrices of both, side by side."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        nn.init.normal_(attention.in_proj_bias)
        config = LoraConfig(
            r=spec.rank,
            lora_alpha=spec.alpha,
            lora_dropout=spec.dropout,
            target_modules=[f"{part}_proj" for part in spec.targets],
        )
        theirs = get_peft_model(ThreeLayers(attention), config)
        ours = Ours(attention)
        attach_lora(ours, spec)
    ours.double()
    theirs.double()
    matrices = []
    for part, (down, up) in ours.attn.in_proj.updates().items():
        layer = getattr(theirs.base_model.model, f"{part}_proj")
        matrices += [(down, layer.lora_A["default"].weight), (up, layer.lora_B["default"].weight)]
    with torch.no_grad():
        for number, (mine, other) in enumerate(matrices):
            mine.copy_(0.3 * random(*mine.shape, seed=number))
            other.copy_(mine)
    return ours, theirs, matrices


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize(("rank", "alpha"), [(1, 1.0), (4, 8.0), (16, 8.0), (3, 0.5)])
def test_eval_mode_equals_peft(targets, rank, alpha):
    ours, theirs, _ = pair(spec_of(targets, rank, alpha, dropout=0.1))
    tokens = random(2, 5, WIDTH)
    torch.testing.assert_close(ours.eval()(tokens), theirs.eval()(tokens), **EXACT)
    with theirs.disable_adapter():
        assert not torch.allclose(ours(tokens), theirs(tokens), atol=1e-2)


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("dropout", [0.0, 0.1, 0.5])
def test_training_equals_peft_with_the_same_draws(targets, dropout):
    ours, theirs, matrices = pair(spec_of(targets, dropout=dropout))
    tokens, outputs = random(2, 5, WIDTH), []
    for model in (ours.train(), theirs.train()):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            outputs.append(model(tokens))
        outputs[-1].square().sum().backward()
    torch.testing.assert_close(*outputs, **EXACT)
    assert len(matrices) == 2 * len(targets)
    for mine, other in matrices:
        assert mine.grad.abs().max() > 0
        torch.testing.assert_close(mine.grad, other.grad)


def test_each_adapter_has_a_dropout_of_its_own():
    ours, _, _ = pair(spec_of(dropout=0.5))
    masks = []
    for adapter in ours.attn.in_proj.adapters.values():
        adapter.dropout.register_forward_hook(lambda module, inputs, output: masks.append(output != 0))
    ours.train()(random(2, 5, WIDTH))
    assert len(masks) == 3
    assert not masks[0].equal(masks[1])
    assert not masks[1].equal(masks[2])
