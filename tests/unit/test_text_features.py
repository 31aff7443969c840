"""Features of prompts are computed once for each CLIP; what cannot be kept or recalled is computed again."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from perceptmetrics import create_metric
from perceptmetrics.factory import encoder_pair
from perceptmetrics.models import text_features
from perceptmetrics.models.encoders import TextEncoder
from perceptmetrics.models.encoders.clip_text import tokenize_with_context
from perceptmetrics.models.prompts import ATTRIBUTES
from perceptmetrics.models.text_features import TextFeatures, features_of
from perceptmetrics.weights.cache import CACHE_VARIABLE, cache_home
from tests.support import small_clip

TOLERANCE = {"rtol": 0.0, "atol": 1e-6}


@pytest.fixture
def towers(monkeypatch):
    """Counts the text towers that are built."""
    built = []

    def count(*arguments, **keywords):
        built.append(arguments)
        return build_image_and_text(*arguments, **keywords)

    build_image_and_text = encoder_pair.build_image_and_text
    monkeypatch.setattr(encoder_pair, "build_image_and_text", count)
    return built


def images():
    return torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))


def files():
    return sorted((cache_home() / "prompts").iterdir())


@pytest.mark.parametrize("options", [{}, {"prompts": ["quality", "new"]}, {"prompt": "Good photo."}], ids=str)
def test_the_text_tower_is_built_once(tiny_clips, towers, options):
    first = create_metric("clipiqa", backbone_checkpoint=tiny_clips, **options)
    assert len(towers) == 1
    second = create_metric("clipiqa", backbone_checkpoint=tiny_clips, **options)
    assert len(towers) == 1
    assert torch.equal(first(images()), second(images()))
    for name, tensor in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], tensor), name


def test_metrics_share_what_they_have_in_common(tiny_clips, towers):
    every = create_metric("clipiqa", backbone_checkpoint=tiny_clips, prompts=list(ATTRIBUTES))
    assert len(files()) == 2 * len(ATTRIBUTES)
    one = create_metric("clip_uiqa", backbone_checkpoint=tiny_clips, prompts=["scary", "quality"])
    assert len(towers) == 1
    places = [every.labels.index(name) for name in one.labels]
    assert torch.equal(one.head.text_features, every.head.text_features[places])


def test_features_do_not_depend_on_the_prompts_beside_them(tiny_clips, monkeypatch, tmp_path):
    alone = create_metric("clipiqa", backbone_checkpoint=tiny_clips)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "another"))
    among = create_metric("clipiqa", backbone_checkpoint=tiny_clips, prompts=list(ATTRIBUTES))
    torch.testing.assert_close(alone(images()), among(images())[:, 0], **TOLERANCE)


def test_other_prompts_and_other_weights_are_computed(tiny_clips, towers, tmp_path):
    create_metric("clipiqa", backbone_checkpoint=tiny_clips)
    create_metric("clipiqa", backbone_checkpoint=tiny_clips, prompts=["quality", ("Good photo", "Bad photo.")])
    assert len(towers) == 2
    save_file(small_clip.state(small_clip.build(small_clip.RESNET, seed=1)), tmp_path / "other.safetensors")
    other = create_metric("clipiqa", backbone_checkpoint=tmp_path / "other.safetensors")
    assert len(towers) == 3
    assert not torch.equal(
        other.head.text_features, create_metric("clipiqa", backbone_checkpoint=tiny_clips).head.text_features
    )


def test_the_same_weights_in_another_place_are_recalled(tiny_clips, towers, tmp_path):
    create_metric("clipiqa", backbone_checkpoint=tiny_clips)
    (tmp_path / "copy.safetensors").write_bytes(tiny_clips.read_bytes())
    create_metric("clipiqa", backbone_checkpoint=tmp_path / "copy.safetensors")
    assert len(towers) == 1


def test_a_file_that_changes_in_place_is_noticed(tiny_clips, towers):
    create_metric("clipiqa", backbone_checkpoint=tiny_clips)
    save_file(small_clip.state(small_clip.build(small_clip.RESNET, seed=1)), tiny_clips)
    create_metric("clipiqa", backbone_checkpoint=tiny_clips)
    assert len(towers) == 2


def test_learned_prompts_are_recalled_by_their_content(tiny_clips, towers, tmp_path):
    """Also those whose file holds token embeddings, which were compared when the features were computed."""
    embedded = TextEncoder(small_clip.build(small_clip.RESNET)).embed(
        tokenize_with_context(["Good photo.", "Bad photo."], 16, 77)
    )
    parts = {"token_prefix": embedded[:, :1].contiguous(), "token_suffix": embedded[:, 17:].contiguous()}
    features = []
    for number, scale in enumerate((0.1, 0.1, 0.2)):
        context = scale * torch.randn(2, 16, 64, generator=torch.Generator().manual_seed(0))
        tensors = {"prompt_learner.ctx": context} | {f"prompt_learner.{name}": part for name, part in parts.items()}
        save_file(tensors, tmp_path / f"{number}.safetensors")
        options = {"checkpoint": tmp_path / f"{number}.safetensors", "backbone_checkpoint": tiny_clips}
        features.append(create_metric("clipiqa+_rn50_512", **options).head.text_features)
    assert len(towers) == 2
    assert torch.equal(features[0], features[1])
    assert not torch.equal(features[0], features[2])


def test_random_weights_are_not_kept(tiny_clips, towers):
    for _ in range(2):
        create_metric("clipiqa", weights=None)
    assert len(towers) == 2
    assert not (cache_home() / "prompts").exists()


@pytest.mark.parametrize("damage", ["empty", "cut", "other content", "a flipped bit", "a folder"])
def test_a_damaged_file_is_computed_again(tiny_clips, towers, damage):
    first = create_metric("clipiqa", backbone_checkpoint=tiny_clips)
    path = files()[0]
    content = path.read_bytes()
    if damage == "a folder":
        path.unlink()
        path.mkdir()
    elif damage == "a flipped bit":
        path.write_bytes(content[:-100] + bytes([content[-100] ^ 1]) + content[-99:])
    elif damage == "other content":
        save_file({"something": torch.zeros(3)}, path)
    else:
        path.write_bytes(b"" if damage == "empty" else content[:-8])
    again = create_metric("clipiqa", backbone_checkpoint=tiny_clips)
    assert len(towers) == 2
    torch.testing.assert_close(again(images()), first(images()), **TOLERANCE)
    if damage != "a folder":
        assert path.read_bytes() == content
        create_metric("clipiqa", backbone_checkpoint=tiny_clips)
        assert len(towers) == 2


def test_a_cache_that_cannot_be_written_costs_only_time(tiny_clips, towers, monkeypatch, tmp_path):
    (tmp_path / "no folder").write_bytes(b"")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "no folder"))
    first, second = (create_metric("clipiqa", backbone_checkpoint=tiny_clips) for _ in range(2))
    assert len(towers) == 2
    assert torch.equal(first(images()), second(images()))


def test_another_version_of_the_encoding_is_computed_again(tiny_clips, towers, monkeypatch):
    create_metric("clipiqa", backbone_checkpoint=tiny_clips)
    monkeypatch.setattr(text_features, "_VERSION", text_features._VERSION + 1)
    create_metric("clipiqa", backbone_checkpoint=tiny_clips)
    assert len(towers) == 2


def test_all_prompts_are_computed_when_one_is_missing(tiny_clips):
    calls = []

    def compute(prompts):
        calls.append(prompts)
        return TextFeatures(torch.full((len(prompts), 4), float(len(calls))), 100.0)

    for prompts in (["a", "b"], ["b", "c"], ["a", "c"]):
        found = features_of(prompts, "clip", lambda prompts=prompts: compute(prompts))
    assert calls == [["a", "b"], ["b", "c"]]
    assert found.features[:, 0].tolist() == [1.0, 2.0]
    assert found.logit_scale == 100.0
