"""CLIPs by architecture and tag, told apart without any connection."""

from __future__ import annotations

import json
from dataclasses import replace

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from perceptmetrics import create_metric
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.factory.options import apply_options
from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD
from perceptmetrics.metrics.clipiqa import CLIPIQA
from perceptmetrics.models.encoders.open_clip_tags import find_tag
from perceptmetrics.spec import ClipEncoderSpec, HubFile
from perceptmetrics.spec.json import spec_from_json, spec_to_json
from tests.support.hub_server import HubStandIn

FILE = "open_clip_model.safetensors"
OPENAI_B32, LAION_B32 = "timm/vit_base_patch32_clip_224.openai", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
HALF = (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "architecture", "quick_gelu", "repo", "mean", "std"),
    [
        ("ViT-B-32/laion2b_s34b_b79k", "ViT-B-32", False, LAION_B32, CLIP_MEAN, CLIP_STD),
        ("ViT-B-32-quickgelu/openai", "ViT-B-32-quickgelu", True, OPENAI_B32, CLIP_MEAN, CLIP_STD),
        ("ViT-B-32/openai", "ViT-B-32", True, OPENAI_B32, CLIP_MEAN, CLIP_STD),
        ("RN50/openai", "RN50", True, "timm/resnet50_clip.openai", CLIP_MEAN, CLIP_STD),
        ("ViT-L-14/laion2b_s32b_b82k", "ViT-L-14", False, "laion/CLIP-ViT-L-14-laion2B-s32B-b82K", HALF, HALF),
    ],
)
def test_a_tag_is_a_backbone(name, architecture, quick_gelu, repo, mean, std):
    """The activation is the one that the weights were trained with, whatever the architecture's name says."""
    changed = apply_options(CLIPIQA, {"backbone": name})
    assert changed.encoder == ClipEncoderSpec(
        architecture=architecture,
        quick_gelu=quick_gelu,
        weights=HubFile(repo=repo, filename=FILE, revision="main"),
        positional_embedding=CLIPIQA.encoder.positional_embedding,
    )
    assert (changed.views.mean, changed.views.std) == (mean, std)
    assert replace(changed, encoder=CLIPIQA.encoder, views=CLIPIQA.views) == CLIPIQA
    assert spec_from_json(spec_to_json(changed)) == changed


def test_options_go_together_with_a_tag():
    changed = apply_options(
        CLIPIQA,
        {"backbone": "ViT-B-32/laion2b_s34b_b79k", "positional_embedding": "interpolate", "prompts": "brightness"},
    )
    assert changed.encoder.positional_embedding == "interpolate"
    assert changed.head.pairs[0].positive == "Bright photo."


@pytest.mark.parametrize(
    "name",
    [
        "ViT-B-32/laion2b",
        "ViT-B-33/openai",
        "/openai",
        "ViT-B-32/",
        "laion2b_s34b_b79k",
        "hf-hub:a/b",
        "a/b/c",
        "",
        None,
    ],
)
def test_an_unknown_tag_is_refused(name):
    assert find_tag(str(name)) is None
    if name is not None:
        with pytest.raises(
            InvalidOptionError, match="an architecture and a tag of open_clip such as 'ViT-B-32/laion2b"
        ):
            apply_options(CLIPIQA, {"backbone": name})


def test_every_tag_of_open_clip_gives_a_specification_or_none():
    names = [f"{architecture}/{tag}" for architecture, tag in open_clip.list_pretrained()]
    found = {name: find_tag(name) for name in names}
    assert sum(tag is not None for tag in found.values()) > 100
    for name, tag in found.items():
        if tag is not None:
            assert name.startswith(f"{tag.architecture}/")
            assert min(len(tag.mean), len(tag.std)) == 3


def test_a_tagged_clip_is_downloaded_and_built_with_its_activation(tmp_path, monkeypatch):
    """A tiny CLIP in the place of the real one, at the same address."""
    vision = {"image_size": 64, "layers": 1, "width": 64, "head_width": 32, "patch_size": 32}
    text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}
    config = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}
    monkeypatch.setattr(open_clip, "get_model_config", lambda _: json.loads(json.dumps(config)))
    monkeypatch.setenv("PERCEPTMETRICS_CACHE", str(tmp_path / "records"))
    scores = []
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with HubStandIn() as hub, torch.random.fork_rng():
        hub.replace_hub(monkeypatch, tmp_path / "hub")
        torch.manual_seed(0)
        save_file(open_clip.CLIP(**config).state_dict(), tmp_path / FILE)
        for repo in (OPENAI_B32, LAION_B32):
            hub.commit(repo, {FILE: (tmp_path / FILE).read_bytes()})
        for name in ("ViT-B-32/laion2b_s34b_b79k", "ViT-B-32-quickgelu/openai"):
            scores.append(create_metric("clipiqa", backbone=name, positional_embedding="keep").score(image))
    assert scores[0] != scores[1], "the same weights with another activation"
