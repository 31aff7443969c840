"""LoRA on a fused projection is peft's LoRA on three layers: outputs, gradients, and where dropout acts."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from perceptmetrics.functional.low_rank import draw_kept
from perceptmetrics.models import lora
from perceptmetrics.models.lora import attach_lora
from tests.support.adapted_encoders import spec_of

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


def adapted_by_peft(network, **config):
    import peft  # takes seconds, which tests on other workers need not wait

    return peft.get_peft_model(network, peft.LoraConfig(**config))


def pair(spec):
    """Our attention and peft's with the same weights, in float64; and the matrices of both, side by side."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        nn.init.normal_(attention.in_proj_bias)
        theirs = adapted_by_peft(
            ThreeLayers(attention),
            r=spec.rank,
            lora_alpha=spec.alpha,
            lora_dropout=spec.dropout,
            target_modules=[f"{part}_proj" for part in spec.targets],
        )
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


def test_adapters_start_as_pefts_do():
    """Each element of `down` is uniform within one over the root of the inputs' number, each of `up` zero."""
    size = 400
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(size, size))
        layer = adapted_by_peft(network, r=16, lora_alpha=8, target_modules=["0"]).base_model.model[0]
        theirs = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        ours = lora.LoraProjection(nn.Linear(size, 3 * size), spec_of(rank=16)).updates()
    for down, up in [theirs, *ours.values()]:
        assert not up.any()
        assert down.abs().max().item() == pytest.approx(size**-0.5, rel=0.01)
        assert down.std().item() == pytest.approx((3 * size) ** -0.5, rel=0.03)
        assert abs(down.mean().item()) < 0.05 * size**-0.5


class Replay(nn.Module):
    """Dropout whose mask is given."""

    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def forward(self, tokens):
        return tokens * self.kept.mask * self.kept.factor


@pytest.fixture
def drawn(monkeypatch):
    """What our adapters' dropout keeps, call by call."""
    every = []

    def record(*arguments):
        every.append(draw_kept(*arguments))
        return every[-1]

    monkeypatch.setattr(lora, "draw_kept", record)
    return every


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("dropout", [0.0, 0.1, 0.5])
def test_training_equals_peft_with_the_same_dropout(targets, dropout, drawn):
    ours, theirs, matrices = pair(spec_of(targets, dropout=dropout))
    outputs, tokens = [], [random(2, 5, WIDTH).requires_grad_() for _ in range(2)]
    outputs.append(ours.train()(tokens[0]))
    assert len(drawn) == (len(targets) if dropout else 0)
    for part, kept in zip(targets, drawn, strict=False):
        getattr(theirs.base_model.model, f"{part}_proj").lora_dropout["default"] = Replay(kept)
    outputs.append(theirs.train()(tokens[1]))
    for output in outputs:
        output.square().sum().backward()
    torch.testing.assert_close(*outputs, **EXACT)
    torch.testing.assert_close(tokens[0].grad, tokens[1].grad)
    assert len(matrices) == 2 * len(targets)
    for mine, other in matrices:
        assert mine.grad.abs().max() > 0
        torch.testing.assert_close(mine.grad, other.grad)


@pytest.mark.parametrize("dropout", [0.1, 0.5])
def test_dropout_zeroes_as_many_inputs_as_peft_does(dropout, drawn):
    """The same expectation and the same variance of the outputs, over many draws."""
    ours, theirs, _ = pair(spec_of(dropout=dropout))
    tokens = random(1, 5, WIDTH).expand(4000, -1, -1)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mine = ours.train().attn.in_proj(tokens)
        layers = [getattr(theirs.train().base_model.model, f"{part}_proj") for part in "qkv"]
        other = torch.cat([layer(tokens) for layer in layers], dim=-1)
    assert other.std(dim=0).min() > 0.01
    torch.testing.assert_close(mine.std(dim=0), other.std(dim=0), rtol=0.1, atol=0.0)
    distance = (mine.mean(dim=0) - other.mean(dim=0)) / other.std(dim=0) * math.sqrt(len(tokens) / 2)
    assert distance.abs().max() < 5


def test_each_adapter_has_a_dropout_of_its_own_at_every_call(drawn):
    ours, _, _ = pair(spec_of(dropout=0.5))
    for _ in range(2):
        ours.train()(random(2, 5, WIDTH))
    assert len({tuple(kept.mask.flatten().tolist()) for kept in drawn}) == len(drawn) == 6


def test_nothing_is_dropped_in_eval_mode(drawn):
    ours, _, _ = pair(spec_of(dropout=0.5))
    ours.eval()(random(2, 5, WIDTH))
    assert not drawn
