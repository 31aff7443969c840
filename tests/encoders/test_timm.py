"""timm's encoders give timm's own features, from timm's own files, at the sizes that they can see."""

from __future__ import annotations

from dataclasses import replace

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from perceptmetrics.errors import InvalidImageError, InvalidSpecError, WeightsError
from perceptmetrics.models.encoders import (
    TimmBlocks,
    TimmPooled,
    TimmStages,
    build_image_encoder,
    encoder_shapes,
    feature_size_of,
    load_image_encoder,
    read_encoder_weights,
)
from tests.support.every_encoder import SIDE, VIT, timm_network, timm_spec, write

LITE0, RESNET, CONVNEXT, FIXED = "tf_efficientnet_lite0", "resnet10t", "test_convnext", "xcit_nano_12_p8_224"
SIDES = {VIT: SIDE, FIXED: 224}


def pixels(height, width=None, count=2, seed=0):
    return torch.randn(count, 3, height, width or height, generator=torch.Generator().manual_seed(seed))


def encoder_of(path, architecture, features):
    return load_image_encoder(timm_spec(architecture, features), path)


# The features


@pytest.mark.parametrize(
    "architecture", [VIT, "vit_tiny_patch16_224", LITE0, RESNET, CONVNEXT, "eva02_tiny_patch14_224"]
)
def test_pooled_features_are_what_timms_classifier_gets(tmp_path, architecture):
    network = timm_network(architecture)
    encoder = encoder_of(write(network, tmp_path / "model.safetensors"), architecture, "pooled")
    assert isinstance(encoder, TimmPooled)
    _, side, _ = timm.get_pretrained_cfg(architecture).input_size
    images = pixels(side)
    seen = []
    network.get_classifier().register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(images)
    torch.testing.assert_close(encoder(images), seen[0], rtol=1e-4, atol=1e-4)
    assert seen[0].std(dim=0).mean() > 1e-3
    assert encoder.feature_size == seen[0].shape[1] == feature_size_of(timm_spec(architecture, "pooled"))


@pytest.mark.parametrize("architecture", [LITE0, RESNET, CONVNEXT])
def test_stages_are_the_statistics_of_timms_feature_maps(tmp_path, architecture):
    network = timm_network(architecture)
    encoder = encoder_of(write(network, tmp_path / "model.safetensors"), architecture, "stages")
    assert isinstance(encoder, TimmStages)
    images = pixels(64, 96)
    reference = timm.create_model(architecture, pretrained=False, features_only=True).eval()
    whole = {name.replace(".", "_"): tensor for name, tensor in network.state_dict().items()}
    reference.load_state_dict({name: whole[name.replace(".", "_")] for name in reference.state_dict()})
    expected = [part for maps in reference(images) for part in (maps.mean((2, 3)), maps.std((2, 3), correction=0))]
    torch.testing.assert_close(encoder(images), torch.cat(expected, dim=1), rtol=1e-3, atol=1e-3)
    assert (
        encoder.feature_size == feature_size_of(timm_spec(architecture, "stages")) == sum(p.shape[1] for p in expected)
    )


@pytest.mark.parametrize("architecture", [LITE0, "mnasnet_small"])
def test_blocks_are_the_statistics_of_every_block_of_timms_network(tmp_path, architecture):
    network = timm_network(architecture)
    encoder = encoder_of(write(network, tmp_path / "model.safetensors"), architecture, "blocks")
    assert isinstance(encoder, TimmBlocks)
    images, seen = pixels(64, 96), []
    blocks = [block for stage in network.blocks for block in stage]
    for block in blocks:
        block.register_forward_hook(lambda module, inputs, output: seen.append(output))
    network(images)
    assert len(seen) == len(blocks) > 5
    expected = [part for maps in seen for part in (maps.mean((2, 3)), maps.std((2, 3), correction=0))]
    torch.testing.assert_close(encoder(images), torch.cat(expected, dim=1), rtol=1e-3, atol=1e-3)
    assert (
        encoder.feature_size == feature_size_of(timm_spec(architecture, "blocks")) == sum(p.shape[1] for p in expected)
    )


def test_blocks_computed_again_for_the_gradient_give_the_same_gradient():
    encoder = encoder_of(None, LITE0, "blocks")

    def gradient(checkpointing):
        encoder.checkpointing = checkpointing
        kept, images = [], pixels(64).requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda one: one):
            encoder(images).square().sum().backward()
        return images.grad, len(kept)

    (plain, many), (again, few) = gradient(False), gradient(True)
    torch.testing.assert_close(again, plain)
    assert few < many


@pytest.mark.parametrize(("height", "width"), [(SIDE, SIDE), (64, 96), (16, 240)])
def test_a_vision_transformer_interpolates_its_positional_embedding_as_timm_does(tmp_path, height, width):
    path = write(timm_network(VIT), tmp_path / "model.safetensors")
    encoder = encoder_of(path, VIT, "pooled")
    reference = timm.create_model(VIT, pretrained=False, num_classes=7, dynamic_img_size=True).eval()
    reference.load_state_dict(load_file(path))
    reference.reset_classifier(0)
    images = pixels(height, width)
    torch.testing.assert_close(encoder(images), reference(images), rtol=1e-5, atol=1e-5)
    # What is less than a patch at the right and bottom edge is not seen.
    padded = nn.functional.pad(images, (0, 3, 0, 15), value=9.0)
    assert torch.equal(encoder(padded), encoder(images))


@pytest.mark.parametrize(
    ("architecture", "features", "least"),
    [(VIT, "pooled", 16), (RESNET, "pooled", 32), (RESNET, "stages", 32), (LITE0, "blocks", 32)],
)
def test_images_may_have_any_size_from_the_smallest(architecture, features, least):
    encoder = encoder_of(None, architecture, features)
    assert encoder(pixels(least, least + 41)).shape == (2, encoder.feature_size)
    with pytest.raises(InvalidImageError, match=f"at least {least} x {least} pixels"):
        encoder(pixels(least - 1, least))


def test_other_transformers_take_their_training_size_only():
    encoder = encoder_of(None, FIXED, "pooled")
    assert encoder(pixels(224, count=1)).shape == (1, encoder.feature_size)
    with pytest.raises(InvalidImageError, match="images of 224 x 224 pixels only, got 224 x 240"):
        encoder(pixels(224, 240))


@pytest.mark.parametrize(
    ("architecture", "features"), [(VIT, "pooled"), (RESNET, "stages"), (LITE0, "blocks"), (LITE0, "pooled")]
)
def test_gradients_reach_every_pixel_and_no_weight(architecture, features):
    encoder = encoder_of(None, architecture, features)
    images = pixels(64).requires_grad_()
    encoder(images).square().sum().backward()
    assert torch.isfinite(images.grad).all()
    assert (images.grad != 0).float().mean() > 0.9
    assert all(parameter.grad is None for parameter in encoder.parameters())


@pytest.mark.parametrize(
    ("architecture", "features"), [(VIT, "pooled"), (RESNET, "stages"), (LITE0, "blocks"), (RESNET, "pooled")]
)
def test_the_batch_does_not_matter(architecture, features):
    encoder = encoder_of(None, architecture, features)
    images = pixels(64, count=3)
    torch.testing.assert_close(encoder(images)[1:2], encoder(images[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "features"), [(VIT, "pooled"), (RESNET, "stages"), (LITE0, "blocks"), (LITE0, "pooled")]
)
def test_torch_compile_gives_the_same_graph_free_of_breaks(architecture, features):
    encoder = encoder_of(None, architecture, features)
    images = pixels(64, 80)
    torch.compiler.reset()  # compilations of other tests count toward its limit
    compiled = torch.compile(encoder, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), encoder(images), rtol=1e-4, atol=1e-5)


# Batch normalisation


@pytest.mark.parametrize(
    ("architecture", "features", "left"),
    [(LITE0, "stages", False), (LITE0, "pooled", False), (RESNET, "stages", True), (RESNET, "pooled", True)],
)
def test_batch_norms_are_folded_where_their_convolutions_are_known(architecture, features, left):
    encoder = encoder_of(None, architecture, features)
    assert any(isinstance(module, nn.BatchNorm2d) for module in encoder.modules()) is left


def test_batch_norms_keep_their_statistics_in_training(tmp_path):
    encoder = encoder_of(write(timm_network(RESNET), tmp_path / "model.safetensors"), RESNET, "stages")
    images = pixels(64)
    before, state = encoder(images), {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    encoder.requires_grad_(True)
    encoder.train()
    torch.testing.assert_close(encoder(images), before)
    assert all(torch.equal(tensor, state[name]) for name, tensor in encoder.state_dict().items())
    assert encoder.network.training  # stochastic depth and dropout are not switched off


# The files


def test_a_file_needs_no_classifier(tmp_path):
    network = timm_network(VIT)
    whole = encoder_of(write(network, tmp_path / "whole.safetensors"), VIT, "pooled")
    network.reset_classifier(0)
    bare = encoder_of(write(network, tmp_path / "bare.safetensors"), VIT, "pooled")
    assert torch.equal(whole(pixels(64)), bare(pixels(64)))


@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
def test_a_checkpoint_of_open_clip_has_the_network_as_a_part(tmp_path, suffix):
    """As TULIP's and SigLIP's: the image encoder of timm, which pools by attention, beside a text encoder."""
    network = timm_network("test_vit3", num_classes=0)
    assert network.attn_pool is not None
    own = {f"visual.trunk.{name}": tensor.clone() for name, tensor in network.state_dict().items()}
    whole = own | {
        "text.positional_embedding": torch.ones(64, 8),
        "logit_scale": torch.ones(()),
        "logit_bias": torch.ones(()),
    }
    path = tmp_path / f"tulip.{suffix}"
    save = save_file if suffix == "safetensors" else torch.save
    save(whole, path)
    images = pixels(SIDE)
    expected = network(images)
    assert expected.std(dim=0).mean() > 1e-3
    torch.testing.assert_close(encoder_of(path, "test_vit3", "pooled")(images), expected, rtol=1e-4, atol=1e-4)
    save({name: tensor for name, tensor in whole.items() if "attn_pool.kv" not in name}, path)
    with pytest.raises(WeightsError, match=r"attn_pool\.kv"):
        encoder_of(path, "test_vit3", "pooled")


def test_half_precision_is_computed_in_float32(tmp_path):
    state = timm_network(VIT).state_dict()
    save_file({name: tensor.half() for name, tensor in state.items()}, tmp_path / "half.safetensors")
    encoder = encoder_of(tmp_path / "half.safetensors", VIT, "pooled")
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("blocks.0.attn.qkv.weight"), "missing blocks.0.attn.qkv.weight"),
        (lambda state: state.update(mask_token=torch.ones(1)), "unexpected mask_token"),
        (
            lambda state: state.update(cls_token=torch.ones(1, 1, 3)),
            r"cls_token has shape \(1, 1, 3\), expected \(1, 1, 64\)",
        ),
        (lambda state: state.update(headless=torch.ones(1)), "unexpected headless"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_the_name_of_the_tensor(tmp_path, change, said):
    state = {name: tensor.clone() for name, tensor in timm_network(VIT).state_dict().items()}
    change(state)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=f"do not fit timm's {VIT}: {said}"):
        encoder_of(tmp_path / "model.safetensors", VIT, "pooled")


@pytest.mark.parametrize(("architecture", "features"), [(VIT, "pooled"), (CONVNEXT, "stages")])
def test_shapes_are_named_as_in_timms_files(tmp_path, architecture, features):
    network = timm_network(architecture)
    state = network.state_dict()
    shapes = encoder_shapes(timm_spec(architecture, features))
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
    dropped = {"head.weight", "head.bias", "head.fc.weight", "head.fc.bias"}
    assert state.keys() - shapes.keys() <= dropped | {"head.norm.weight", "head.norm.bias"}


# Sharing


def loaded(path, architecture, features="pooled"):
    spec = timm_spec(architecture, features)
    return build_image_encoder(spec, read_encoder_weights(path, spec))


def test_encoders_from_one_file_share_their_parameters_until_one_is_trained(tmp_path):
    path = write(timm_network(VIT), tmp_path / "model.safetensors")
    one, other = loaded(path, VIT), loaded(path, VIT)
    weights = [[parameter.data_ptr() for parameter in encoder.parameters()] for encoder in (one, other)]
    assert weights[0] == weights[1]
    other.requires_grad_(True)
    assert not {parameter.data_ptr() for parameter in other.parameters()} & set(weights[0])


def test_statistics_of_batch_norms_are_everybodys_own(tmp_path):
    path = write(timm_network(RESNET), tmp_path / "model.safetensors")
    one, other = loaded(path, RESNET), loaded(path, RESNET)
    expected = one(pixels(64))
    other.load_state_dict({name: torch.zeros_like(tensor) for name, tensor in other.state_dict().items()})
    assert torch.equal(one(pixels(64)), expected)


# What cannot be built


@pytest.mark.parametrize(
    ("architecture", "features", "change", "said"),
    [
        ("vit_tiny_patch17", "pooled", {}, "timm has no architecture 'vit_tiny_patch17'"),
        (VIT, "pooled", {"quick_gelu": True}, "timm builds test_vit without QuickGELU"),
        (VIT, "stages", {}, "'stages' is for convolutional networks, which 'test_vit' is not. Use 'pooled'"),
        (VIT, "blocks", {}, "'blocks' is for convolutional networks, which 'test_vit' is not. Use 'pooled'"),
        ("mobilenetv3_small_050", "blocks", {}, "which 'mobilenetv3_small_050' is not. Use 'stages'"),
        (RESNET, "blocks", {}, "'blocks' is for networks that timm builds as EfficientNets, .* Use 'stages'"),
        ("nasnetalarge", "stages", {}, "no feature stages off 'nasnetalarge' .* Use features='pooled'"),
    ],
)
def test_what_timm_does_not_build_so_is_refused(architecture, features, change, said):
    spec = replace(timm_spec(architecture, features), **change)
    with pytest.raises(InvalidSpecError, match=said):
        encoder_shapes(spec)
