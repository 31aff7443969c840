"""Encoders by name: known without being built, unknown answered with the nearest."""

from __future__ import annotations

import open_clip
import pytest
import timm

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD, OPENAI_CLIP_WEIGHTS, openai_clip
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.models.encoders.named import encoder_width, named_encoder

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize("name", OPENAI_CLIP_WEIGHTS)
def test_every_clip_of_the_registry_has_its_name(name):
    encoder = named_encoder(name, positional_embedding="keep")
    assert encoder.spec == openai_clip(name, "keep")
    assert (encoder.mean, encoder.std) == (CLIP_MEAN, CLIP_STD)
    assert encoder.input_size == ((288, 288) if name == "RN50x4" else (224, 224))
    assert named_encoder(name).spec.positional_embedding == "interpolate"


def test_tags_of_open_clip():
    encoder = named_encoder("ViT-B-32/laion2b_s34b_b79k")
    assert (encoder.spec.architecture, encoder.spec.quick_gelu) == ("ViT-B-32", False)
    assert encoder.spec.weights.repo == "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
    assert encoder.input_size == (224, 224)


@pytest.mark.parametrize(
    ("name", "repo", "features", "pixels", "side", "width"),
    [
        ("vit_large_patch14_dinov2", "vit_large_patch14_dinov2.lvd142m", "pooled", IMAGENET, 518, 1024),
        ("vit_large_patch16_224.mae", "vit_large_patch16_224.mae", "pooled", IMAGENET, 224, 1024),
        ("vit_tiny_patch16_224", "vit_tiny_patch16_224.augreg_in21k_ft_in1k", "pooled", HALF, 224, 192),
        ("swin_tiny_patch4_window7_224", "swin_tiny_patch4_window7_224.ms_in1k", "pooled", IMAGENET, 224, 768),
        ("resnet18.a1_in1k", "resnet18.a1_in1k", "stages", IMAGENET, 224, 2 * (64 + 64 + 128 + 256 + 512)),
    ],
)
def test_networks_of_timm(name, repo, features, pixels, side, width):
    encoder = named_encoder(f"timm:{name}")
    assert (encoder.spec.architecture, encoder.spec.features) == (name.split(".")[0], features)
    assert (encoder.spec.weights.repo, encoder.spec.weights.filename) == (f"timm/{repo}", "model.safetensors")
    assert (encoder.mean, encoder.std, encoder.input_size) == (*pixels, (side, side))
    assert encoder_width(encoder.spec) == width


@pytest.mark.parametrize("name", ["timm:tf_efficientnet_lite0", "timm:tf_efficientnet_lite0.in1k"])
def test_efficientnet_lite0_comes_from_its_package(name):
    encoder = named_encoder(name)
    assert encoder.spec == LITE_IQA.encoder
    assert (encoder.mean, encoder.std) == HALF
    assert named_encoder(name, features="pooled").spec.weights == encoder.spec.weights
    assert encoder_width(named_encoder(name, features="pooled").spec) == 1280


def test_widths_of_clips():
    assert encoder_width(named_encoder("ViT-B-16").spec) == 512
    assert encoder_width(named_encoder("RN101").spec) == 512


def test_nothing_is_built(monkeypatch):
    monkeypatch.setattr(timm, "create_model", None)
    monkeypatch.setattr(open_clip, "CLIP", None)
    assert named_encoder("timm:vit_large_patch14_dinov2").input_size == (518, 518)
    assert named_encoder("ViT-L-14").input_size == (224, 224)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("ViT-L-15", {}, "No encoder is named 'ViT-L-15'. Did you mean 'ViT-L-14'"),
        ("ViT-B-32/laion2b_s34b_b78k", {}, "Did you mean .*'ViT-B-32/laion2b_s34b_b79k'"),
        ("timm:vit_large_patch14_dino2", {}, "Did you mean 'timm:vit_large_patch14_dinov2'"),
        (
            "timm:vit_large_patch16_224.mea",
            {},
            "The Hub has no weights .* Did you mean 'timm:vit_large_patch16_224.mae'",
        ),
        ("timm:test_vit_mini", {}, "No encoder is named"),
        ("vit_large_patch14_dinov2", {}, "Did you mean 'timm:vit_large_patch14_dinov2'"),
        ("RN50", {"features": "pooled"}, "features= belongs to the encoders of timm"),
        ("timm:resnet18", {"positional_embedding": "drop"}, "positional_embedding= belongs to a CLIP"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, options, said):
    with pytest.raises(InvalidOptionError, match=said):
        named_encoder(name, **options)
