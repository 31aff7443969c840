"""CLIP-IQA+ and CLIP-UIQA on full-size CLIPs equal an independent implementation, whatever the file's layout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
import torch
from piq.feature_extractors import clip as openai_clip
from safetensors.torch import save_file
from torch import Tensor

from perceptmetrics import Metric, create_metric, metric_info
from tests.parity import reference_clipiqa_plus as plus
from tests.parity.reference_clipiqa import BAD_PHOTO, GOOD_PHOTO, build_reference
from tests.support.full_size_clip import random_clip_state, random_vit_clip_state
from tests.support.photographs import photographs
from tests.support.registered_metrics import temporary_metrics

TOLERANCE = 1e-5
NOTICED = 50 * TOLERANCE
SIZES = [(224, 224), (256, 320), (233, 375)]
LAYOUTS = ["bare tensor in half precision", "pyiqa, one context a prompt", "mmcv", "ours"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the RN50."""
    folder = tmp_path_factory.mktemp("weights")
    save_file(random_clip_state(), folder / "rn50.safetensors")
    return folder


@pytest.fixture(scope="module")
def reference() -> openai_clip.CLIP:
    return build_reference(random_clip_state())


def learned(*shape: int, seed: int = 7) -> Tensor:
    """Vectors about as long as the embeddings of words."""
    return 0.2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def learned_apart(width: int) -> Tensor:
    """Vectors of each prompt, as alike as trained ones: otherwise float32 rounding alone moves a score."""
    return learned(plus.CONTEXT, width) + 0.1 * learned(2, plus.CONTEXT, width, seed=8)


def write(layout: str, path: Path, model: openai_clip.CLIP) -> tuple[Path, Tensor]:
    """A file of learned prompts, and the vectors that are in it."""
    width = model.token_embedding.weight.shape[1]
    context = learned(plus.CONTEXT, width)
    if layout == "bare tensor in half precision":
        context = context.half()
        torch.save(context, path.with_suffix(".pth"))
        return path.with_suffix(".pth"), context.float()
    if layout == "mmcv":
        state = {
            "generator.clipmodel_0.prompt_learner.ctx": context,
            "generator.clipmodel_0.logit_scale": torch.ones(()),
        }
        torch.save({"meta": {"iter": 80_000}, "state_dict": state}, path.with_suffix(".pth"))
        return path.with_suffix(".pth"), context
    if layout == "ours":
        save_file({"head.context": context}, path.with_suffix(".safetensors"))
        return path.with_suffix(".safetensors"), context
    context = learned_apart(width)
    embedded = model.token_embedding(plus.prompt_tokens()).detach()
    parameters = {
        "prompt_learner.ctx": context,
        "prompt_learner.token_prefix": embedded[:, :1],
        "prompt_learner.token_suffix": embedded[:, 1 + plus.CONTEXT :],
    }
    assert parameters["prompt_learner.token_suffix"].shape == (2, 60, width)
    torch.save({"params": parameters}, path.with_suffix(".pth"))
    return path.with_suffix(".pth"), context


@pytest.mark.parametrize("layout", LAYOUTS)
def test_learned_prompts_of_every_layout(folder: Path, reference: openai_clip.CLIP, layout: str) -> None:
    path, context = write(layout, folder / "prompts", reference)
    metric = create_metric("clipiqa+", checkpoint=path, backbone_checkpoint=folder / "rn50.safetensors")
    text = plus.prompt_features(reference, context)
    torch.testing.assert_close(metric.head.text_features[0], text, atol=1e-6, rtol=0)
    images = photographs(224, 224)
    expected = plus.score(reference, text, images)
    assert expected.std() > 10 * NOTICED
    torch.testing.assert_close(metric.score(images), expected, atol=TOLERANCE, rtol=0)


@pytest.fixture(scope="module")
def resized(folder: Path, reference: openai_clip.CLIP) -> tuple[Metric, Tensor]:
    """`clipiqa+_rn50_512` and its vectors."""
    path, context = write("pyiqa, one context a prompt", folder / "rn50_512", reference)
    metric = create_metric("clipiqa+_rn50_512", checkpoint=path, backbone_checkpoint=folder / "rn50.safetensors")
    return metric, context


@pytest.mark.parametrize("size", [*SIZES, (96, 512)], ids=str)
def test_the_table_of_positional_embeddings_is_resized_as_one_picture(
    resized: tuple[Metric, Tensor], reference: openai_clip.CLIP, size: tuple[int, int]
) -> None:
    metric, context = resized
    images = photographs(*size)[:3]
    expected = plus.score(reference, plus.prompt_features(reference, context), images, positional=True)
    torch.testing.assert_close(metric.score(images), expected, atol=TOLERANCE, rtol=0)


class TestPower:
    """The comparisons above would notice each of these by more than fifty tolerances."""

    @pytest.mark.parametrize(
        "mistake",
        [{"before": plus.CONTEXT}, {"stop": plus.DOT}, {"shift_end": 1}, {"shift_end": -1}, {"swapped": True}],
        ids=str,
    )
    def test_other_prompts(self, reference: openai_clip.CLIP, mistake: dict[str, int]) -> None:
        context, images = learned(plus.CONTEXT, 512), photographs(224, 224)
        right, wrong = (
            plus.score(reference, plus.prompt_features(reference, context, **change), images)
            for change in ({}, mistake)
        )
        assert (right - wrong).abs().max() > NOTICED

    def test_the_vectors_of_one_prompt_for_both(self, reference: openai_clip.CLIP) -> None:
        apart, images = learned_apart(512), photographs(224, 224)
        right, wrong = (
            plus.score(reference, plus.prompt_features(reference, context), images) for context in (apart, apart[0])
        )
        assert (right - wrong).abs().max() > NOTICED

    @pytest.mark.parametrize("size", SIZES[1:], ids=str)
    def test_the_grid_interpolated_in_place_of_the_table(
        self, reference: openai_clip.CLIP, size: tuple[int, int]
    ) -> None:
        text, images = plus.prompt_features(reference, learned_apart(512)), photographs(*size)[:2]
        table = plus.grid_table(reference, size[0] // 32, size[1] // 32)
        right = plus.score(reference, text, images, positional=True)
        assert (right - plus.score(reference, text, images, positional=True, table=table)).abs().max() > NOTICED
        assert (right - plus.score(reference, text, images)).abs().max() > NOTICED

    def test_the_places_of_fragments(self, reference: openai_clip.CLIP) -> None:
        text, image = pair_features(reference), photographs(500, 620)[0]
        right, wrong = (plus.score(reference, text, plus.three_views(image, seed)[2]) for seed in (0, 1))
        assert (right - wrong).abs().max() > NOTICED


def pair_features(model: openai_clip.CLIP) -> Tensor:
    tokens = torch.zeros(2, 77, dtype=torch.long)
    tokens[0, : len(GOOD_PHOTO)] = torch.tensor(GOOD_PHOTO)
    tokens[1, : len(BAD_PHOTO)] = torch.tensor(BAD_PHOTO)
    features = model.encode_text(tokens)
    return features / features.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize(
    ("size", "seed"),
    [
        ((500, 623), 0),
        ((384, 700), 3),
        ((150, 211), 0),
        *(
            pytest.param(size, seed, marks=pytest.mark.slow)
            for size, seed in [((500, 623), 3), ((384, 700), 0), ((150, 211), 3)]
        ),
    ],
    ids=str,
)
def test_the_three_views_of_clip_uiqa(
    folder: Path, reference: openai_clip.CLIP, size: tuple[int, int], seed: int
) -> None:
    metric = create_metric("clip_uiqa", backbone_checkpoint=folder / "rn50.safetensors", seed=seed)
    text, images = pair_features(reference), photographs(*size)[1:3]
    by_view = [[plus.score(reference, text, view) for view in plus.three_views(image, seed)] for image in images]
    expected = torch.stack([torch.cat(scores).mean() for scores in by_view])
    assert torch.tensor(by_view).std(dim=1).min() > NOTICED, "the views score alike"
    torch.testing.assert_close(metric.score(images), expected, atol=TOLERANCE, rtol=0)


@pytest.fixture
def small_vit(tmp_path: Path) -> Iterator[str]:
    """Name of a small transformer, which stands in for ViT-L/14 in the block."""
    sizes, name = plus.SMALL_VIT, "parity-small-vit"
    image = {"image_size": 224, "layers": sizes["vision_layers"], "width": sizes["vision_width"], "patch_size": 14}
    text = {"context_length": 77, "vocab_size": sizes["vocab_size"], "width": sizes["transformer_width"]}
    text |= {"heads": sizes["transformer_heads"], "layers": sizes["transformer_layers"]}
    config = {"embed_dim": sizes["embed_dim"], "vision_cfg": image, "text_cfg": text}
    (tmp_path / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    spec = metric_info("clipiqa+_vitL14_512")
    with temporary_metrics(replace(spec, encoder=replace(spec.encoder, architecture=name))):
        yield name


def test_a_small_vision_transformer(small_vit: str, tmp_path: Path) -> None:
    assert_equal_on_a_transformer(random_vit_clip_state(small_vit), plus.SMALL_VIT, tmp_path)


@pytest.mark.slow
def test_a_full_size_vision_transformer(tmp_path: Path) -> None:
    """ViT-L/14 takes 1.7 GB, so it is built once and sees three small images of different sizes."""
    assert_equal_on_a_transformer(random_vit_clip_state(), plus.VIT_L, tmp_path)


def assert_equal_on_a_transformer(state: dict[str, Tensor], sizes: dict[str, int], folder: Path) -> None:
    save_file(state, folder / "vit.safetensors")
    reference = plus.vit_clip(sizes, state)
    path, context = write("pyiqa, one context a prompt", folder / "vit_512", reference)
    metric = create_metric("clipiqa+_vitL14_512", checkpoint=path, backbone_checkpoint=folder / "vit.safetensors")
    text = plus.prompt_features(reference, context)
    scores = []
    for place, size in enumerate([(98, 98), (84, 126), (75, 140)]):
        image = photographs(*size)[place : place + 1]
        scores.append(plus.score(reference, text, image, positional=True))
        torch.testing.assert_close(metric.score(image), scores[-1], atol=TOLERANCE, rtol=0)
    assert torch.cat(scores).std() > NOTICED
    without = plus.score(reference, text, image, positional=False)
    assert (without - scores[-1]).abs() > NOTICED
