"""The attention, activation and towers rewritten for speed compute what those that they replace compute."""

from __future__ import annotations

import copy

import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU
from torch import nn

from perceptmetrics.errors import InvalidSpecError, WeightsError
from perceptmetrics.models.encoders import ClipVisionTransformer
from perceptmetrics.models.encoders.attention import FusedAttention
from perceptmetrics.models.encoders.clip_vit import FastQuickGelu
from tests.support import small_clip
from tests.support.small_clip import IMAGE_SIZE, VIT, VIT_224

WIDTH, HEADS, TOKENS = 12, 3, 7


@pytest.fixture(scope="module", autouse=True)
def tiny_architectures(tmp_path_factory):
    small_clip.register(tmp_path_factory.mktemp("configurations"))


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture
def attention():
    """PyTorch's module."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        nn.init.normal_(module.in_proj_bias)
        nn.init.normal_(module.out_proj.bias)
    return module.double().eval()


def masks():
    causal = torch.full((TOKENS, TOKENS), float("-inf")).triu(1)
    return {"none": None, "causal": causal, "bias": random(TOKENS, TOKENS, seed=3)}


@pytest.mark.parametrize("mask", ["none", "causal", "bias"])
def test_attention_and_its_gradients_equal_pytorchs(attention, mask):
    fused = FusedAttention(copy.deepcopy(attention))
    mask, results = masks()[mask], []
    for module in (attention, fused):
        tokens = random(2, TOKENS, WIDTH, dtype=torch.float64).requires_grad_()
        attended, weights = module(
            tokens, tokens, tokens, need_weights=False, attn_mask=None if mask is None else mask.double()
        )
        assert weights is None
        attended.square().sum().backward()
        results.append((attended, tokens.grad))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("queries", [1, 3, TOKENS, None])
@pytest.mark.parametrize("mask", ["none", "causal", "bias"])
def test_fewer_queries_give_the_same_first_tokens(attention, queries, mask):
    fused, tokens, mask = FusedAttention(attention), random(2, TOKENS, WIDTH, dtype=torch.float64), masks()[mask]
    some = fused.attend(tokens, queries, attn_mask=mask)
    assert some.shape == (2, queries or TOKENS, WIDTH)
    torch.testing.assert_close(some, fused.attend(tokens, attn_mask=mask)[:, :queries])


def test_the_weights_are_taken_over_and_not_copied(attention):
    fused = FusedAttention(attention)
    assert fused.in_proj.weight is attention.in_proj_weight
    assert fused.in_proj.bias is attention.in_proj_bias
    assert fused.out_proj.weight is attention.out_proj.weight
    assert list(fused.state_dict()) == ["in_proj.weight", "in_proj.bias", "out_proj.weight", "out_proj.bias"]


def test_what_is_no_self_attention_is_refused(attention):
    fused, tokens = FusedAttention(attention), random(1, TOKENS, WIDTH, dtype=torch.float64)
    for call in [
        lambda: fused(tokens, tokens.clone(), tokens),
        lambda: fused(tokens, tokens, tokens.clone()),
        lambda: fused(tokens, need_weights=True),
    ]:
        with pytest.raises(ValueError, match="self-attention that does not return its weights"):
            call()


@pytest.mark.parametrize("options", [{"bias": False}, {"kdim": 5, "vdim": 5}, {"batch_first": False}])
def test_other_attention_is_not_taken_over(options):
    with pytest.raises(ValueError, match="one fused, biased projection"):
        FusedAttention(nn.MultiheadAttention(WIDTH, HEADS, **({"batch_first": True} | options)))


class Attention(nn.Module):
    """As open_clip 4 has it: the same weights by the same names, always with the batch first, other masks."""

    def __init__(self, width, heads):
        super().__init__()
        self.num_heads = heads
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)


def test_the_attention_of_open_clip_4_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setattr(Attention, "__module__", "open_clip.transformer")
    monkeypatch.setattr(open_clip, "__version__", "4.2.0")
    visual = small_clip.build(VIT).visual
    for block in visual.transformer.resblocks:
        block.attn = Attention(visual.conv1.out_channels, 1)
    with pytest.raises(InvalidSpecError) as refusal:
        ClipVisionTransformer(visual, "keep")
    assert str(refusal.value) == (
        "The encoder's attention must be torch.nn.MultiheadAttention, as open_clip 2.30 to 3 builds it, but it is "
        "open_clip.transformer.Attention (open_clip 4.2.0). Install a version that this release supports: "
        'pip install "open_clip_torch>=2.30,<4".'
    )


# The activation


def around_everything(dtype=torch.float64):
    return torch.cat([torch.linspace(-12, 12, 97), torch.tensor([-300.0, -0.0, 300.0])]).to(dtype)


@pytest.mark.parametrize("with_gradients", [False, True])
def test_fast_quick_gelu_is_its_formula(with_gradients):
    hidden = around_everything()
    expected = hidden * torch.sigmoid(1.702 * hidden)
    torch.testing.assert_close(expected, QuickGELU()(hidden))
    given = hidden.clone().requires_grad_(with_gradients)
    torch.testing.assert_close(FastQuickGelu()(given).detach(), expected)
    assert torch.equal(given.detach(), hidden) is with_gradients  # otherwise it works in place


def test_gradients_of_fast_quick_gelu():
    torch.autograd.gradcheck(FastQuickGelu(), around_everything()[:97:4].clone().requires_grad_())
    gradients = []
    for activation in (QuickGELU(), FastQuickGelu()):
        hidden = around_everything().requires_grad_()
        activation(hidden).sum().backward()
        gradients.append(hidden.grad)
    torch.testing.assert_close(*gradients)


# The tower


@pytest.mark.parametrize("architecture", [VIT, VIT_224])
@pytest.mark.parametrize("quick_gelu", [True, False])
def test_the_tower_and_its_gradients_equal_open_clips(architecture, quick_gelu):
    visual = small_clip.build(architecture, quick_gelu=quick_gelu).visual
    tower, results = ClipVisionTransformer(copy.deepcopy(visual), "keep"), []
    assert any(isinstance(module, FastQuickGelu) for module in tower.modules()) is quick_gelu
    for encoder in (visual, tower):
        pixels = random(3, 3, IMAGE_SIZE[architecture], IMAGE_SIZE[architecture]).requires_grad_()
        features = encoder(pixels)
        features.square().sum().backward()
        results.append((features, pixels.grad))
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5 * other.abs().max().item())


@pytest.mark.parametrize("with_gradients", [False, True])
@pytest.mark.parametrize("part", [1, 2, 4])
def test_splitting_a_batch_does_not_change_features(monkeypatch, part, with_gradients):
    tower = ClipVisionTransformer(small_clip.build(VIT).visual, "keep")
    pixels, seen = random(7, 3, 64, 64), []
    whole = tower.encode(pixels)
    monkeypatch.setattr(tower, "cache_sized_part", lambda height, width: part)
    encode = tower.encode
    monkeypatch.setattr(tower, "encode", lambda some: seen.append(len(some)) or encode(some))
    features = tower(pixels.requires_grad_(with_gradients))
    assert sum(seen) == 7
    assert max(seen) <= part
    torch.testing.assert_close(features, whole, atol=1e-6 * whole.abs().max().item(), rtol=0)
    if with_gradients:
        features[3].sum().backward()
        reached = pixels.grad.abs().amax(dim=(1, 2, 3)) > 0
        assert reached.tolist() == [number == 3 for number in range(7)]


def test_parts_shrink_as_pictures_grow():
    tower = ClipVisionTransformer(small_clip.build(VIT).visual, "interpolate")
    sizes = [tower.cache_sized_part(side, side) for side in (64, 256, 1024, 8192)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1] >= 1


def test_scoring_without_gradients_leaves_the_pictures_alone():
    tower, pixels = ClipVisionTransformer(small_clip.build(VIT).visual, "keep"), random(2, 3, 64, 64)
    before = pixels.clone()
    with torch.inference_mode():
        features = tower(pixels)
        assert torch.equal(tower(pixels), features)
    assert torch.equal(pixels, before)


def test_towers_of_other_blocks_are_refused():
    config = open_clip.get_model_config(VIT)
    config["vision_cfg"]["ls_init_value"] = 0.1
    with torch.device("meta"), pytest.raises(WeightsError, match="residual blocks"):
        ClipVisionTransformer(open_clip.CLIP(**config, quick_gelu=True).visual, "keep")


def test_a_boolean_mask_hides_what_is_true():
    attention = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    tokens = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(5, 5, dtype=torch.bool).triu(1)
    expected = attention(tokens, tokens, tokens, attn_mask=mask, need_weights=False)[0]
    torch.testing.assert_close(FusedAttention(attention)(tokens, attn_mask=mask)[0], expected)
