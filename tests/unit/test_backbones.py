"""The encoders equal the networks that they are made of, at the training size and at any other."""

from __future__ import annotations

import copy
from dataclasses import replace

import open_clip
import pytest
import timm
import torch
import torch.nn.functional as F
from open_clip.modified_resnet import AttentionPool2d
from safetensors.torch import save_file
from torch import nn

from perceptmetrics.errors import InvalidImageError, InvalidOptionError, InvalidSpecError, WeightsError
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.models.encoders import (
    ClipResNet,
    ClipVisionTransformer,
    TextEncoder,
    TimmStages,
    build_clip,
    build_image_and_text,
    build_image_encoder,
    load_image_encoder,
)
from perceptmetrics.models.encoders.clip_resnet import MeanTokenAttentionPool
from perceptmetrics.models.encoders.clip_text import tokenize
from perceptmetrics.models.encoders.fold import fold_batch_norms
from tests.support import small_clip
from tests.support.small_clip import IMAGE_SIZE, RESNET, VIT

GRID = 3  # of the attention pool below
TEXTS = ["Good photo.", "Bad photo.", "Bright photo.", "Dark photo."]


@pytest.fixture(scope="module", autouse=True)
def tiny_architectures(tmp_path_factory):
    small_clip.register(tmp_path_factory.mktemp("configurations"))


@pytest.fixture
def weights(tmp_path):
    """A function that writes the weights of a tiny CLIP and gives their path and open_clip's model."""

    def write(architecture):
        model = small_clip.build(architecture)
        save_file(small_clip.state(model), tmp_path / f"{architecture}.safetensors")
        return tmp_path / f"{architecture}.safetensors", model

    return write


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def assert_equal_with_gradients(ours, reference, pixels):
    """Two functions have the same values and the same gradients, in float64."""
    results = []
    for function in (ours, reference):
        leaf = pixels.clone().requires_grad_()
        output = function(leaf)
        (gradient,) = torch.autograd.grad(output.pow(2).sum(), leaf)
        results.append((output.detach(), gradient))
    (value, gradient), (expected, expected_gradient) = results
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-10)
    assert expected_gradient.abs().max() > 1e-6


# Folded batch normalisation


def lite_network():
    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True)
    small_clip.enliven(network)
    small_clip.calibrate(network, torch.randn(2, 3, 96, 96))
    return network.double().eval()


def test_a_folded_resnet_equals_the_unfolded_one():
    visual = small_clip.build(RESNET).visual.double()
    folded = copy.deepcopy(visual)
    fold_batch_norms(folded)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert_equal_with_gradients(folded, visual, random(2, 3, 96, 96))


def test_a_folded_efficientnet_equals_the_unfolded_one_at_every_stage():
    network = lite_network()
    folded = copy.deepcopy(network)
    fold_batch_norms(folded)
    pixels = random(2, 3, 96, 64)
    for ours, reference in zip(folded(pixels), network(pixels), strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-10)
        assert reference.std() > 1e-2


def test_folding_refuses_an_architecture_that_it_does_not_know():
    with pytest.raises(WeightsError, match=r"Batch normalisation bn1 of ResNet follows no known convolution"):
        fold_batch_norms(timm.create_model("resnet18", pretrained=False).eval())


def test_folding_refuses_a_normalisation_without_statistics():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False))
    with pytest.raises(WeightsError, match="without running statistics"):
        fold_batch_norms(network)


# The attention pool


@pytest.fixture
def pool():
    torch.manual_seed(0)
    pool = AttentionPool2d(GRID, embed_dim=64, num_heads=4, output_dim=24).double().requires_grad_(False)
    for parameter in pool.parameters():
        parameter.normal_(0, 0.3)
    return pool


def full_attention(pool, table):
    """The published pool with another table of positions (or none), every token a query."""

    def run(feature_map):
        tokens = feature_map.flatten(2).permute(2, 0, 1)
        tokens = torch.cat([tokens.mean(dim=0, keepdim=True), tokens])
        tokens = tokens if table is None else tokens + table[:, None]
        projections = (pool.q_proj, pool.k_proj, pool.v_proj)
        output, _ = F.multi_head_attention_forward(
            query=tokens,
            key=tokens,
            value=tokens,
            embed_dim_to_check=tokens.shape[-1],
            num_heads=pool.num_heads,
            in_proj_weight=None,
            in_proj_bias=torch.cat([projection.bias for projection in projections]),
            bias_k=None,
            bias_v=None,
            add_zero_attn=False,
            dropout_p=0.0,
            out_proj_weight=pool.c_proj.weight,
            out_proj_bias=pool.c_proj.bias,
            use_separate_proj_weight=True,
            q_proj_weight=pool.q_proj.weight,
            k_proj_weight=pool.k_proj.weight,
            v_proj_weight=pool.v_proj.weight,
            need_weights=False,
        )
        return output[0]

    return run


def interpolated(table, grid):
    """Bicubic over the grid, without the row of the summary token."""
    side = round((len(table) - 1) ** 0.5)
    channels = [
        F.interpolate(channel.view(1, 1, side, side), size=grid, mode="bicubic", align_corners=False).flatten()
        for channel in table[1:].unbind(dim=1)
    ]
    return torch.cat([table[:1], torch.stack(channels, dim=1)])


@pytest.mark.parametrize("mode", ["keep", "interpolate"])
def test_the_pool_equals_open_clips_at_the_training_grid(pool, mode):
    assert_equal_with_gradients(MeanTokenAttentionPool(pool, mode), pool, random(2, 64, GRID, GRID))


@pytest.mark.parametrize("grid", [(3, 3), (1, 1), (2, 7), (9, 4)], ids=str)
@pytest.mark.parametrize("mode", ["drop", "interpolate"])
def test_the_pool_equals_full_attention_at_any_grid(pool, mode, grid):
    table = interpolated(pool.positional_embedding, grid) if mode == "interpolate" else None
    assert_equal_with_gradients(MeanTokenAttentionPool(pool, mode), full_attention(pool, table), random(2, 64, *grid))


def test_the_reference_of_the_pool_tells_the_modes_apart(pool):
    feature_map = random(2, 64, GRID, GRID)
    kept, dropped = (MeanTokenAttentionPool(pool, mode)(feature_map) for mode in ("keep", "drop"))
    assert (kept - dropped).abs().max() > 1e-2


def test_a_dropped_embedding_leaves_no_trace(pool):
    assert "positional_embedding" not in MeanTokenAttentionPool(pool, "drop").state_dict()
    assert "positional_embedding" in MeanTokenAttentionPool(pool, "interpolate").state_dict()


# Whole towers


@pytest.mark.parametrize("mode", ["keep", "interpolate"])
@pytest.mark.parametrize("architecture", [RESNET, VIT])
def test_a_tower_equals_open_clips_at_the_training_size(architecture, mode):
    visual = small_clip.build(architecture).visual.double()
    tower = ClipResNet if architecture == RESNET else ClipVisionTransformer
    ours = tower(copy.deepcopy(visual), mode)
    size = IMAGE_SIZE[architecture]
    assert ours.feature_size == 64
    assert_equal_with_gradients(ours, visual, random(2, 3, size, size))


@pytest.mark.parametrize("size", [(48, 80), (128, 128), (16, 16), (70, 95)], ids=str)
@pytest.mark.parametrize("mode", ["drop", "interpolate"])
def test_a_vision_transformer_equals_open_clips_with_another_table(mode, size):
    visual = small_clip.build(VIT).visual.double()
    ours = ClipVisionTransformer(copy.deepcopy(visual), mode)
    grid = (size[0] // 16, size[1] // 16)
    table = interpolated(visual.positional_embedding, grid)
    visual.positional_embedding = nn.Parameter(table if mode == "interpolate" else torch.zeros_like(table))
    assert_equal_with_gradients(ours, visual, random(2, 3, *size))


@pytest.mark.parametrize("size", [(96, 64), (128, 128), (64, 96)], ids=str)
def test_a_resnet_equals_its_trunk_and_full_attention_at_any_size(size):
    visual = small_clip.build(RESNET).visual.double()
    ours = ClipResNet(copy.deepcopy(visual), "drop")
    attention = full_attention(visual.attnpool, None)
    visual.attnpool = nn.Identity()
    assert_equal_with_gradients(ours, lambda pixels: attention(visual(pixels)), random(2, 3, *size))


@pytest.mark.parametrize(("architecture", "size", "said"), [(RESNET, 128, "96 x 96"), (VIT, 80, "64 x 64")])
def test_a_kept_embedding_takes_the_training_size_only(weights, architecture, size, said):
    path, _ = weights(architecture)
    encoder = load_image_encoder(small_clip.spec(architecture, "keep").encoder, path)
    with pytest.raises(InvalidImageError, match=rf"{said} pixels only .*'interpolate'"):
        encoder(random(1, 3, size, size, dtype=torch.float32))
    side = IMAGE_SIZE[architecture]
    with pytest.raises(InvalidImageError, match="pixels only"):  # as many tokens, in another shape
        encoder(random(1, 3, side * 2, side // 2, dtype=torch.float32))


@pytest.mark.parametrize(("architecture", "least"), [(RESNET, 32), (VIT, 16), ("lite", 32)])
def test_images_below_the_smallest_size_are_refused(weights, architecture, least):
    if architecture == "lite":
        encoder = load_image_encoder(LITE_IQA.encoder, None)
    else:
        encoder = load_image_encoder(small_clip.spec(architecture).encoder, weights(architecture)[0])
    assert encoder.min_size == least
    pixels = random(1, 3, least, least + 40, dtype=torch.float32)
    assert encoder(pixels).shape == (1, encoder.feature_size)
    with pytest.raises(
        InvalidImageError, match=rf"at least {least} x {least} pixels .* got {least - 1} x {least + 40}"
    ):
        encoder(pixels[:, :, 1:])


def test_the_statistics_of_a_constant_stage_have_finite_gradients():
    encoder = TimmStages(timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True))
    pixels = random(1, 3, 32, 32, dtype=torch.float32).requires_grad_()  # the last stage has one cell, without variance
    encoder(pixels).sum().backward()
    assert torch.isfinite(pixels.grad).all()


# Text


def test_text_features_are_open_clips_of_unit_length():
    model = small_clip.build(RESNET)
    expected = model.encode_text(open_clip.get_tokenizer("RN50")(TEXTS), normalize=True)
    features = TextEncoder(model).encode(TEXTS)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, expected, rtol=1e-6, atol=1e-6)
    assert (expected[0] - expected[1]).abs().max() > 1e-2


@pytest.mark.parametrize("longest", [1, 2, 75])
def test_texts_of_different_lengths_are_read_whole(longest):
    """What comes after the longest is not computed, and does not matter."""
    model, texts = small_clip.build(RESNET), ["", "Good photo.", " ".join(["photo"] * longest)]
    expected = model.encode_text(open_clip.get_tokenizer("RN50")(texts), normalize=True)
    torch.testing.assert_close(TextEncoder(model).encode(texts), expected, rtol=1e-5, atol=1e-6)


def test_text_features_do_not_depend_on_how_the_model_was_loaded(weights):
    """A model that is built without memory has to have its causal mask put back."""
    path, model = weights(VIT)
    features = build_image_and_text(small_clip.spec(VIT).encoder, path).text.encode(TEXTS)
    torch.testing.assert_close(features, TextEncoder(model).encode(TEXTS), rtol=1e-6, atol=1e-6)


def test_a_prompt_is_read_whole_or_refused():
    longest = " ".join(["photo"] * 75)
    tokens = tokenize([longest], 77)
    assert int((tokens == tokens[0, 1]).sum()) == 75
    with pytest.raises(InvalidOptionError, match=r"'photo photo.*has 76 tokens; CLIP reads 75\. Shorten it\."):
        tokenize(["short", f"{longest} photo"], 77)


# Weights, present and absent


@pytest.mark.parametrize("architecture", [RESNET, VIT, "lite"])
def test_random_weights_are_seeded_and_leave_the_callers_generator_alone(architecture):
    backbone = LITE_IQA.encoder if architecture == "lite" else small_clip.spec(architecture).encoder
    torch.manual_seed(11)
    expected = torch.rand(4)
    torch.manual_seed(11)
    first, again, other = (load_image_encoder(backbone, None, seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.rand(4), expected)
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert any(not torch.equal(tensor, other[name]) for name, tensor in first.items())


@pytest.mark.parametrize("architecture", [RESNET, VIT])
def test_loading_draws_nothing_and_leaves_nothing_without_memory(weights, architecture):
    path, _ = weights(architecture)
    state = torch.get_rng_state()
    encoder = build_image_and_text(small_clip.spec(architecture).encoder, path)
    assert torch.equal(torch.get_rng_state(), state)
    tensors = [*encoder.image.parameters(), *encoder.image.buffers()]
    assert all(tensor.device.type == "cpu" for tensor in tensors)
    assert not any(tensor.requires_grad for tensor in tensors)
    assert not any(module.training for module in encoder.image.modules())


@pytest.mark.parametrize("architecture", [RESNET, VIT])
def test_a_missing_tensor_is_never_replaced_by_a_random_one(tmp_path, architecture):
    state = small_clip.state(small_clip.build(architecture))
    names = [name for name in state if name != "logit_scale" and not name.endswith("num_batches_tracked")]
    for name in [*names[::9], "ln_final.weight", "text_projection"]:
        save_file({other: tensor for other, tensor in state.items() if other != name}, tmp_path / "x.safetensors")
        with pytest.raises(WeightsError, match=rf"missing {name}\b"):
            build_image_and_text(small_clip.spec(architecture).encoder, tmp_path / "x.safetensors")


def test_a_missing_file_is_never_replaced_by_random_weights(tmp_path):
    for spec in (small_clip.spec(RESNET).encoder, LITE_IQA.encoder):
        with pytest.raises(WeightsError, match="does not exist"):
            load_image_encoder(spec, tmp_path / "absent.safetensors")
    with pytest.raises(WeightsError, match="does not exist"):
        build_image_and_text(small_clip.spec(RESNET).encoder, tmp_path / "absent.safetensors")


def test_an_encoder_of_no_clip_has_no_text_encoder():
    with pytest.raises(InvalidSpecError, match="'tf_efficientnet_lite0' reads no text"):
        build_image_and_text(LITE_IQA.encoder, None)


# Specifications that contradict the architecture


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architecture": "RN50-quickgelu", "quick_gelu": False}, "has QuickGELU, but .* states quick_gelu=False"),
        ({"architecture": "RN5O"}, "open_clip has no architecture 'RN5O'"),
        ({"architecture": "convnext_base"}, "no CLIP as OpenAI built it: .* timm_model_name"),
        ({"architecture": "coca_ViT-B-32"}, "no CLIP as OpenAI built it: .* multimodal_cfg"),
        ({"architecture": "xlm-roberta-base-ViT-B-32"}, "no CLIP as OpenAI built it: .* hf_model_name"),
        ({"architecture": "ViT-B-16-SigLIP"}, "no CLIP as OpenAI built it: .* custom_text"),
    ],
)
def test_an_architecture_that_does_not_fit_the_specification_is_refused(change, said):
    with pytest.raises(InvalidSpecError, match=said):
        build_image_and_text(replace(small_clip.spec(RESNET).encoder, **change), None)


@pytest.mark.parametrize("name", ["hf-hub:organisation/name", "local-dir:somewhere"])
def test_open_clip_is_never_let_download_a_configuration(monkeypatch, name):
    monkeypatch.setattr(open_clip.factory, "_get_hf_config", lambda *_, **__: pytest.fail("it was asked for"))
    with pytest.raises(InvalidSpecError, match="open_clip has no architecture"):
        build_image_and_text(replace(small_clip.spec(RESNET).encoder, architecture=name), None)


@pytest.mark.parametrize("architecture", [RESNET, VIT])
@pytest.mark.parametrize("quick_gelu", [True, False])
def test_quick_gelu_is_as_stated_and_checked_on_the_built_model(monkeypatch, architecture, quick_gelu):
    backbone = small_clip.spec(architecture, quick_gelu=quick_gelu).encoder
    for model in (build_clip._random_clip(backbone, 0), build_clip._empty_clip(backbone)):
        assert any(type(module).__name__ == "QuickGELU" for module in model.modules()) == quick_gelu
    if architecture == VIT:
        kinds = {type(module).__name__ for module in load_image_encoder(backbone, None).modules()}
        assert kinds & {"FastQuickGelu", "QuickGELU", "GELU"} == {"FastQuickGelu" if quick_gelu else "GELU"}

    builds_otherwise = open_clip.CLIP

    def ignore(**config):
        return builds_otherwise(**config | {"quick_gelu": not quick_gelu})

    monkeypatch.setattr(open_clip, "CLIP", ignore)
    for construct in (build_image_and_text, build_image_encoder):
        with pytest.raises(InvalidSpecError, match=f"its specification states quick_gelu={quick_gelu}"):
            construct(backbone, None)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"quick_gelu": True}, InvalidSpecError, "without QuickGELU; state quick_gelu=False"),
        ({"architecture": "efficientnet_lite9"}, InvalidSpecError, "timm has no architecture 'efficientnet_lite9'"),
    ],
)
def test_a_timm_architecture_that_does_not_fit_is_refused(change, error, said):
    with pytest.raises(error, match=said):
        load_image_encoder(replace(LITE_IQA.encoder, **change), None)


def test_a_file_that_does_not_fit_a_timm_architecture_is_refused(tmp_path):
    save_file({"x": torch.ones(1)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match=r"do not fit timm's tf_efficientnet_lite1: missing .*; unexpected x\."):
        load_image_encoder(replace(LITE_IQA.encoder, architecture="tf_efficientnet_lite1"), tmp_path / "x.safetensors")


def test_vision_transformers_that_pool_otherwise_are_refused():
    visual = small_clip.build(VIT).visual
    visual.pool_type = "avg"
    with pytest.raises(WeightsError, match="pool by their class token"):
        ClipVisionTransformer(visual, "drop")
