"""Every adapter of LoRA is alive and nothing else is trained; merged and baked, it computes the same."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from perceptmetrics.errors import InvalidSpecError, WeightsError
from perceptmetrics.models.encoders import ClipVisionTransformer
from perceptmetrics.models.encoders.attention import FusedAttention
from perceptmetrics.models.lora import (
    Adapter,
    LoraProjection,
    adapter_shapes,
    attach_lora,
    bake_lora,
    load_lora,
    lora_state,
    merge_lora,
    unmerge_lora,
)
from perceptmetrics.spec.encoders import ATTENTION_PARTS
from tests.support import small_clip
from tests.support.adapted_encoders import clip, matrices_of, random, spec_of, switch_on, timm_vit, with_lora
from tests.support.small_clip import IMAGE_SIZE, VIT

WIDTH = 12
TARGETS = [("q", "k", "v"), ("q",), ("v",), ("q", "v"), ("k", "v")]


@pytest.fixture(scope="module", autouse=True)
def tiny_architectures(tmp_path_factory):
    small_clip.register(tmp_path_factory.mktemp("configurations"))


def test_adapters_start_as_no_update_at_all():
    encoder = ClipVisionTransformer(small_clip.build(VIT).visual, "keep")
    pixels = random(1, 3, IMAGE_SIZE[VIT], IMAGE_SIZE[VIT])
    before = encoder(pixels)
    attach_lora(encoder, spec_of())
    torch.testing.assert_close(encoder(pixels), before, atol=0, rtol=0)
    assert all(down.abs().max() > 0 for _, down, _ in matrices_of(encoder))


# Alive


def encoders():
    return {
        "clip": (clip()[0], random(2, 3, 64, 64)),
        "timm": (switch_on(with_lora(timm_vit(img_size=32))), random(2, 3, 32, 32)),
    }


@pytest.mark.parametrize("kind", ["clip", "timm"])
def test_every_adapter_learns_from_zero(kind):
    """One step moves every `up`; from the second step on, every `down` too."""
    encoder, pixels = encoders()[kind]
    for _, _, up in matrices_of(encoder):
        nn.init.zeros_(up)
    adapters = list(matrices_of(encoder))
    assert len(adapters) == {"clip": 9, "timm": 6}[kind]
    optimizer = torch.optim.SGD([matrix for _, *pair in adapters for matrix in pair], lr=0.01)
    for step in range(2):
        optimizer.zero_grad()
        encoder(pixels)[:, :7].square().sum().backward()
        for name, down, up in adapters:
            assert up.grad.abs().max() > 0, name
            assert bool(down.grad.any()) is (step > 0), name
        optimizer.step()


@pytest.mark.parametrize("kind", ["clip", "timm"])
def test_every_adapter_changes_the_features(kind):
    encoder, pixels = encoders()[kind]
    with torch.no_grad():
        before = encoder(pixels)
        for name, *matrices in matrices_of(encoder):
            for matrix in matrices:
                kept = matrix.clone()
                matrix.add_(random(*matrix.shape, seed=5))
                assert (encoder(pixels) - before).abs().max() > 1e-4, name
                matrix.copy_(kept)
        assert torch.equal(encoder(pixels), before)


def test_only_adapters_get_gradients():
    encoder, _ = clip()
    encoder.requires_grad_(True)
    bake_lora(encoder)
    attach_lora(encoder, spec_of())
    encoder(random(2, 3, 64, 64)).sum().backward()
    projections = [module for module in encoder.modules() if isinstance(module, LoraProjection)]
    assert len(projections) == 3
    for projection in projections:
        assert all(parameter.grad is None for parameter in projection.base.parameters())
        assert not any(parameter.requires_grad for parameter in projection.base.parameters())


def test_gradients_reach_the_pixels_through_merged_and_unmerged_adapters():
    encoder, _ = clip()
    gradients = []
    for change in (lambda _: None, merge_lora):
        change(encoder)
        pixels = random(1, 3, 64, 64).requires_grad_()
        encoder(pixels)[0, 0].backward()
        gradients.append(pixels.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


# Merging


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_merging_changes_nothing_and_can_be_taken_back_to_the_bit(targets, dropout):
    encoder, _ = clip(dropout, targets)
    encoder.eval()
    pixels, before = random(2, 3, 64, 64), {name: value.clone() for name, value in encoder.state_dict().items()}
    with torch.no_grad():
        features = encoder(pixels)
        merge_lora(encoder)
        merge_lora(encoder)  # once is enough
        torch.testing.assert_close(encoder(pixels), features, rtol=1e-4, atol=1e-5)
        assert not torch.equal(encoder.visual.transformer.resblocks[0].attn.in_proj.base.weight, before[IN_PROJ])
        unmerge_lora(encoder)
        unmerge_lora(encoder)
        assert torch.equal(encoder(pixels), features)
    after = encoder.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


IN_PROJ = "visual.transformer.resblocks.0.attn.in_proj.base.weight"


def test_a_part_without_adapter_keeps_its_rows():
    encoder, _ = clip(targets=("q", "v"))
    projection = encoder.visual.transformer.resblocks[1].attn.in_proj
    before = projection.base.weight.clone()
    merge_lora(encoder)
    changed = [not torch.equal(a, b) for a, b in zip(projection.base.weight.chunk(3), before.chunk(3), strict=True)]
    assert changed == [True, False, True]


@pytest.mark.parametrize("kind", ["clip", "timm"])
@pytest.mark.parametrize("merged_before", [False, True])
def test_baking_leaves_a_plain_encoder(kind, merged_before):
    plain = ClipVisionTransformer(small_clip.build(VIT).visual, "keep") if kind == "clip" else timm_vit(img_size=32)
    keys = list(plain.state_dict())
    encoder, pixels = switch_on(with_lora(plain)), random(1, 3, *[64 if kind == "clip" else 32] * 2)
    features = encoder(pixels)
    if merged_before:
        merge_lora(encoder)
    bake_lora(encoder)
    assert list(encoder.state_dict()) == keys
    assert not any(isinstance(module, (LoraProjection, Adapter)) for module in encoder.modules())
    torch.testing.assert_close(encoder(pixels), features, rtol=1e-4, atol=1e-5)
    attach_lora(encoder, spec_of())  # there is room for others now


def test_merging_in_lower_precision():
    encoder = clip()[0].to(torch.bfloat16)
    pixels = random(1, 3, 64, 64).bfloat16()
    with torch.no_grad():
        features = encoder(pixels)
        merge_lora(encoder)
        torch.testing.assert_close(encoder(pixels), features, rtol=0.1, atol=0.1)


# Attaching


def test_the_adapted_modules_are_named():
    assert clip()[1] == [f"visual.transformer.resblocks.{number}.attn" for number in range(3)]
    assert attach_lora(timm_vit(img_size=32), spec_of()) == ["blocks.0.attn", "blocks.1.attn"]


def test_open_clips_own_tower_is_adapted_in_place():
    """Its attention becomes a `FusedAttention` with the same weights."""
    visual = small_clip.build(VIT).visual
    pixels = random(2, 3, 64, 64)
    before = visual(pixels)
    assert attach_lora(visual, spec_of()) == [f"transformer.resblocks.{number}.attn" for number in range(3)]
    torch.testing.assert_close(visual(pixels), before, rtol=1e-5, atol=1e-5)
    assert not any(isinstance(module, nn.MultiheadAttention) for module in visual.modules())
    switch_on(visual)
    features = visual(pixels)
    assert (features - before).abs().max() > 1e-2
    bake_lora(visual)
    torch.testing.assert_close(visual(pixels), features, rtol=1e-4, atol=1e-5)
    assert isinstance(visual.transformer.resblocks[0].attn, FusedAttention)


def test_attaching_twice_is_an_error():
    encoder, _ = clip()
    state = lora_state(encoder)
    with pytest.raises(InvalidSpecError, match="has LoRA adapters already"):
        attach_lora(encoder, spec_of())
    assert all(tensor is not None for tensor in state.values())
    assert lora_state(encoder).keys() == state.keys()


@pytest.mark.parametrize("module", [nn.Linear(3, 9), nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Sequential()])
def test_a_module_without_attention_is_refused(module):
    with pytest.raises(InvalidSpecError, match="no attention with a fused projection"):
        attach_lora(module, spec_of())


@pytest.mark.parametrize("fullgraph", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "autocast"])
def test_timms_transformers_train_within_autocast_and_compiled(fullgraph, autocast):
    encoder, pixels = switch_on(with_lora(timm_vit(img_size=32))), random(2, 3, 32, 32)
    with torch.no_grad():
        expected = encoder(pixels)
    torch.compiler.reset()  # compilations of other tests count toward its limit
    run = torch.compile(encoder, backend="eager", fullgraph=True) if fullgraph else encoder
    with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
        features = run(pixels)
    tolerance = 0.2 if autocast else 1e-5
    torch.testing.assert_close(features.float(), expected, atol=tolerance, rtol=0)
    features.float().square().sum().backward()
    for name, down, up in matrices_of(encoder):
        assert down.grad.abs().max() > 0, name
        assert up.grad.abs().max() > 0, name


# On file


def test_the_state_is_named_and_shaped_as_declared():
    encoder, paths = clip(targets=("q", "v"))
    declared = {}
    for path in paths:
        declared |= adapter_shapes(path, 64, spec_of(("q", "v")))
    assert {name: tuple(tensor.shape) for name, tensor in lora_state(encoder).items()} == declared
    assert declared["visual.transformer.resblocks.2.attn.v.up"] == (64, 4)
    assert declared["visual.transformer.resblocks.2.attn.v.down"] == (4, 64)


def test_what_was_saved_is_loaded():
    encoder, _ = clip()
    state = {name: tensor.clone() for name, tensor in lora_state(encoder).items()}
    pixels = random(1, 3, 64, 64)
    expected = encoder(pixels)
    other = with_lora(ClipVisionTransformer(small_clip.build(VIT).visual, "keep"))
    load_lora(other, state)
    assert torch.equal(other(pixels), expected)


@pytest.mark.parametrize("change", ["missing", "unexpected", "misshapen"])
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(change):
    encoder, _ = clip()
    before = {name: tensor.clone() for name, tensor in lora_state(encoder).items()}
    state = {name: tensor + 1 for name, tensor in before.items()}
    name = "visual.transformer.resblocks.1.attn.k.up"
    if change == "missing":
        del state[name]
    elif change == "unexpected":
        name = f"{name}s"
        state[name] = torch.zeros(64, 4)
    else:
        state[name] = state[name].T
    with pytest.raises(WeightsError, match=rf"do not fit the adapters: {name} "):
        load_lora(encoder, state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in lora_state(encoder).items())


def test_parts_are_stacked_in_the_order_of_the_fused_projection():
    """An update of the values alone lands in the last third of the rows."""
    assert ATTENTION_PARTS == ("q", "k", "v")
    base = nn.Linear(WIDTH, 3 * WIDTH)
    projection = switch_on(LoraProjection(base, spec_of(("v",))))
    tokens = random(2, WIDTH)
    change = projection(tokens) - base(tokens)
    assert change[:, : 2 * WIDTH].abs().max() == 0
    assert change[:, 2 * WIDTH :].abs().min() > 0


def test_merged_adapters_are_unmerged_before_others_are_loaded():
    encoder, pixels = encoders()["clip"]
    state = {name: tensor * 2 for name, tensor in lora_state(encoder).items()}
    before = encoder(pixels)
    merge_lora(encoder)
    load_lora(encoder, state)
    assert (encoder(pixels) - before).abs().max() > 1e-3
    assert not any("_unmerged" in name for name in encoder.state_dict())
