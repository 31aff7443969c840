"""Images with a text of their own: from tensors, lists, files and streams, with gradients and without."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torchvision.transforms.functional import to_pil_image

from perceptmetrics import MetricSuite, PerceptualLoss, create_metric
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.images.sources import NamedImage, ReadOptions, find_sources
from perceptmetrics.models.encoders import build_image_and_text
from perceptmetrics.models.heads import PromptHead
from perceptmetrics.scoring.stream import score_images
from perceptmetrics.spec import PromptHeadSpec
from perceptmetrics.spec.json import spec_from_json, spec_to_json
from tests.external import external_metrics
from tests.external.clip_score import CLIP_SCORE
from tests.support import small_clip
from tests.support.photographs import photographs
from tests.support.registered_metrics import temporary_metrics, tiny

PROMPTS = ["A photo of an astronaut.", "A cat.", "A cup of coffee."]


@pytest.fixture(scope="module")
def images():
    return photographs(96, 128)[:3]


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.safetensors"
    small_clip.register(path.parent)
    save_file(small_clip.state(small_clip.build(small_clip.VIT_224)), path)
    return path


@pytest.fixture(scope="module")
def metric(clip_file):
    with external_metrics(), temporary_metrics(tiny(CLIP_SCORE)):
        return create_metric("clip_score_b32", backbone_checkpoint=clip_file)


def test_each_image_is_compared_with_its_own_prompt(metric, images, clip_file):
    encoder, text = build_image_and_text(metric.spec.encoder, clip_file)
    (views,) = metric.views(images)
    expected = 100 * (F.normalize(encoder(views), dim=-1) * text.encode(PROMPTS)).sum(dim=-1)
    torch.testing.assert_close(metric(images, PROMPTS), expected, rtol=0, atol=1e-4)
    assert expected.std() > 1e-2
    assert not torch.allclose(metric(images, PROMPTS), metric(images, PROMPTS[::-1]), atol=1e-2)


def test_all_ways_to_give_prompts_agree(metric, images, tmp_path):
    expected = metric(images, PROMPTS)
    same = {"rtol": 0, "atol": 1e-4}
    torch.testing.assert_close(metric(images, iter(PROMPTS)), expected, **same)
    torch.testing.assert_close(metric(images, metric.encode_prompts(PROMPTS)), expected, **same)
    torch.testing.assert_close(metric(list(images), PROMPTS), expected, **same)
    torch.testing.assert_close(metric.score(list(images), PROMPTS), expected, **same)
    torch.testing.assert_close(metric.score(list(images), metric.encode_prompts(PROMPTS)), expected, **same)
    named = [NamedImage(prompt, image, prompt=prompt) for image, prompt in zip(images, PROMPTS, strict=True)]
    torch.testing.assert_close(metric.score(named), expected, **same)
    one = metric(images, PROMPTS[0])
    torch.testing.assert_close(one, metric(images, PROMPTS[:1] * 3), **same)


def test_batches_of_mixed_sizes_keep_their_prompts(metric, images):
    mixed = [images[0], images[1, :, :80, :90], images[2]]
    one_by_one = torch.cat([metric(image[None], [prompt]) for image, prompt in zip(mixed, PROMPTS, strict=True)])
    torch.testing.assert_close(metric(mixed, PROMPTS), one_by_one, rtol=0, atol=1e-4)
    torch.testing.assert_close(metric.score(mixed, PROMPTS, batch_size=2), one_by_one, rtol=0, atol=1e-4)


def test_gradients_reach_the_pixels(metric, images):
    pixels = images.clone().requires_grad_()
    PerceptualLoss(metric)(pixels, prompts=PROMPTS).backward()
    assert (pixels.grad.abs().amax(dim=(1, 2, 3)) > 0).all()
    assert not any(weight.requires_grad for weight in metric.parameters())


def test_a_stream_scores_images_with_prompts_and_names_those_without(metric, images):
    sources = [NamedImage("a", images[0], prompt=PROMPTS[0]), NamedImage("b", images[1])]
    first, second = score_images([metric], sources)
    assert first.scores["clip_score_b32"] == pytest.approx(float(metric(images[:1], PROMPTS[:1])), abs=1e-4)
    assert "came without a text" in second.error


@pytest.fixture
def table(images, tmp_path):
    """Images as files, and a CSV with a text for each."""
    for index, image in enumerate(images):
        to_pil_image(image).save(tmp_path / f"{index}.png")
    rows = "".join(f'{index}.png,"{prompt}"\n' for index, prompt in enumerate(PROMPTS))
    (tmp_path / "captions.csv").write_text(f"image,caption\n{rows}", encoding="utf-8")
    return tmp_path / "captions.csv"


def test_a_table_gives_images_and_prompts(metric, table):
    files = [table.parent / f"{index}.png" for index in range(3)]
    expected = metric.score(files, PROMPTS)
    torch.testing.assert_close(metric.score(table), expected)
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    columns = {"image": [file.name for file in files], "words": PROMPTS}
    parquet.write_table(arrow.table(columns), table.with_suffix(".parquet"))
    sources = find_sources([table.with_suffix(".parquet")], options=ReadOptions(prompt_column="words"))
    torch.testing.assert_close(metric.score(sources), expected)


def test_a_table_that_cannot_be_read_says_why(metric, table):
    table.write_text("image,caption\n0.png,A cat.\n1.png\n", encoding="utf-8")
    good, bad = score_images([metric], find_sources([table]))
    assert good.error is None
    assert "row 2 has another number of cells than the header" in bad.error
    (missing,) = score_images([metric], find_sources([table], options=ReadOptions(prompt_column="words")))
    assert "it has no column 'words'; its columns are 'image', 'caption'" in missing.error


def test_a_suite_hands_prompts_to_those_who_read_them(metric, images, clip_file):
    with temporary_metrics(small_clip.spec(small_clip.VIT_224, "keep")):
        other = create_metric(f"clipiqa_{small_clip.VIT_224}", weights=None)
    with pytest.raises(InvalidOptionError, match="compares each image with a text"):
        MetricSuite([metric])(images)
    scores = MetricSuite([metric, "lite_iqa"])(images, PROMPTS)
    torch.testing.assert_close(scores["clip_score_b32"], metric(images, PROMPTS))
    assert scores["lite_iqa"].shape == (3,)
    assert not other.reads_prompts


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        (None, "compares each image with a text of its own, and the images came without one"),
        (PROMPTS[:2], "There are 2 prompts for 3 images"),
        ([*PROMPTS[:2], " "], "Prompt 2 must be a text, got ' '"),
        ([*PROMPTS[:2], 5], "Prompt 2 must be a text, got 5"),
        ("word " * 90, "has 90 tokens; CLIP reads 75"),
    ],
)
def test_prompts_that_do_not_fit_are_refused(metric, images, prompts, said):
    with pytest.raises(InvalidOptionError, match=said):
        metric(images, prompts)


def test_too_few_and_too_many_prompts_for_files_are_refused(metric, images):
    with pytest.raises(InvalidOptionError, match="There are 2 prompts, but more images"):
        metric.score(list(images), PROMPTS[:2])
    with pytest.raises(InvalidOptionError, match="There are 4 prompts for 3 images"):
        metric.score(list(images), [*PROMPTS, "One more."])


def test_a_metric_without_prompts_takes_none(images):
    with pytest.raises(InvalidOptionError, match="no prompts of their own"):
        create_metric("lite_iqa")(images, PROMPTS)


def test_negative_cosines_can_count_as_nothing(metric, images):
    clamped = PromptHead(metric.head.text_encoder, weight=100.0, clamp=True)
    features, texts = metric.encode(metric.views(images))[0], metric.encode_prompts(PROMPTS)
    torch.testing.assert_close(clamped(features, texts), metric.head(features, texts).clamp(min=0))


def test_the_specification_survives_json():
    assert spec_from_json(spec_to_json(CLIP_SCORE)) == CLIP_SCORE
    with pytest.raises(Exception, match="weight must be positive"):
        PromptHeadSpec(weight=0.0)
