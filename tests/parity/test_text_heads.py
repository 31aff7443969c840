"""liqe, liqe_mix, qualiclip and maclip equal their formulas, computed with open_clip's own models."""

from __future__ import annotations

import itertools
import math

import open_clip
import pytest
import torch
import torch.nn.functional as F

from perceptmetrics import create_metric, metric_info
from perceptmetrics.errors import InvalidOptionError, WeightsError
from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD
from perceptmetrics.models.encoders import load_image_encoder
from tests.support import small_clip
from tests.support.photographs import photographs
from tests.support.registered_metrics import temporary_metrics, tiny

QUALITIES = ["bad", "poor", "fair", "good", "perfect"]
TOLERANCE = {"rtol": 0, "atol": 1e-4}
MEAN, STD = (torch.tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))


@pytest.fixture(scope="module", autouse=True)
def _registered(tmp_path_factory):
    small_clip.register(tmp_path_factory.mktemp("configurations"))


@pytest.fixture(scope="module")
def images():
    return photographs(260, 330)[:3]


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A CLIP whose file is a bare state dictionary, as LIQE's, with the constants that OpenAI's files hold."""
    model = small_clip.build(small_clip.VIT_224)
    model.logit_scale.fill_(3.0)
    path = tmp_path_factory.mktemp("liqe") / "liqe.pt"
    constants = {
        "input_resolution": torch.tensor(224),
        "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(49408),
    }
    torch.save(small_clip.state(model) | constants, path)
    return model, path


def create(name, **options):
    with temporary_metrics(tiny(metric_info(name))):
        return create_metric(name, **options)


def texts_of(model, texts):
    return F.normalize(model.encode_text(open_clip.get_tokenizer("ViT-B-32")(texts)), dim=-1)


def patches_of(image, stride):
    pixels = (image - MEAN) / STD
    return pixels.unfold(1, 224, stride).unfold(2, 224, stride).permute(1, 2, 0, 3, 4).flatten(0, 1)


def joint(model, image, texts, *, top_left=False):
    """LIQE's distribution over texts for one image (3, H, W)."""
    patches = patches_of(image, 32)
    count = min(15, len(patches))
    step = max(1, len(patches) // count)
    chosen = patches[:1].expand(15, -1, -1, -1) if top_left else patches[[step * index for index in range(count)]]
    features = F.normalize(model.encode_image(chosen), dim=-1)
    return (model.logit_scale.exp() * features @ texts_of(model, texts).T).mean(dim=0).softmax(dim=0)


@pytest.mark.parametrize("patches", ["spread", "top_left"])
def test_liqe_is_the_expected_level_over_patches(vit, images, patches):
    model, path = vit
    metric = create("liqe", backbone_checkpoint=path, patches=patches)
    texts = [f"a photo with {quality} quality" for quality in QUALITIES]
    levels = torch.arange(1.0, 6.0)
    expected = torch.stack([joint(model, image, texts, top_left=patches == "top_left") @ levels for image in images])
    torch.testing.assert_close(metric(images), expected, **TOLERANCE)
    assert expected.std() > 1e-3
    assert len(metric.views.windows(480, 640)[0]) == (1 if patches == "top_left" else 15)


def test_liqe_mix_gives_quality_scene_and_distortion(vit, images):
    model, path = vit
    spec = metric_info("liqe_mix")
    _, scenes, distortions = (axis.words for axis in spec.head.axes)
    assert (len(scenes), len(distortions)) == (9, 11)
    texts = [
        f"a photo of a {scene} with {distortion} artifacts, which is of {quality} quality"
        for quality, scene, distortion in itertools.product(QUALITIES, scenes, distortions)
    ]
    assert spec.head.texts == texts
    grids = torch.stack([joint(model, image, texts) for image in images]).view(-1, 5, 9, 11)
    expected = {
        "quality": grids.sum(dim=(2, 3)) @ torch.arange(1.0, 6.0),
        "scene": grids.sum(dim=(1, 3)),
        "distortion": grids.sum(dim=(1, 2)),
    }
    for name, scores in expected.items():
        metric = create("liqe_mix", backbone_checkpoint=path, output=name)
        torch.testing.assert_close(metric(images), scores, **TOLERANCE)
    assert metric.labels == distortions
    prediction = metric.predict(images[0])
    assert prediction["label"] == distortions[int(scores[0].argmax())]
    assert math.isclose(sum(prediction["probabilities"].values()), 1, abs_tol=1e-5)


def test_options_that_name_nothing_are_refused(vit):
    with pytest.raises(InvalidOptionError, match=r"output= must be one of .*'scene'.*, got 'scenes'"):
        create("liqe_mix", backbone_checkpoint=vit[1], output="scenes")
    with pytest.raises(InvalidOptionError, match="has no option 'output'"):
        create("liqe", backbone_checkpoint=vit[1], output="scene")
    with pytest.raises(InvalidOptionError, match=r"patches= must be one of \('spread', 'top_left'\), got 'official'"):
        create("liqe", backbone_checkpoint=vit[1], patches="official")


@pytest.fixture(scope="module")
def qualiclip_file(tmp_path_factory):
    model = small_clip.build(small_clip.RESNET)
    features = F.normalize(torch.randn(14, small_clip.FEATURE_SIZE, generator=torch.Generator().manual_seed(5)), dim=-1)
    path = tmp_path_factory.mktemp("qualiclip") / "QualiCLIP.pth"
    tensors = {f"clip_model.{name}": tensor for name, tensor in small_clip.state(model).items()}
    torch.save(tensors | {"prompts_features": features}, path)
    return model, features, path


def encoded_by_clipiqa(path, images, name):
    """Features of a ResNet without its positional embedding, as `clipiqa` has them, which is compared with piq."""
    encoder = load_image_encoder(tiny(metric_info(name)).encoder, path)
    return encoder((images - MEAN) / STD)


@pytest.mark.parametrize("temperature", [1, 2])
def test_qualiclip_is_a_mean_over_pairs_of_features(qualiclip_file, images, temperature, tmp_path):
    model, features, path = qualiclip_file
    torch.save(small_clip.state(model), tmp_path / "clip.pt")
    encoded = F.normalize(encoded_by_clipiqa(tmp_path / "clip.pt", images, "clipiqa"), dim=-1)
    logits = (100 * encoded @ features.T).view(3, 7, 2) / temperature
    expected = logits.softmax(dim=-1)[..., 0].mean(dim=1)
    metric = create("qualiclip", checkpoint=path, temperature=temperature)
    torch.testing.assert_close(metric(images), expected, **TOLERANCE)
    assert expected.std() > 1e-4


def test_qualiclip_refuses_what_is_no_file_of_it_and_no_temperature(qualiclip_file, tmp_path):
    tensors = torch.load(qualiclip_file[2], weights_only=True)
    tensors["prompts_features"] = tensors["prompts_features"][:12]
    torch.save(tensors, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"features has shape \(12, 64\), expected \(14, 64\)"):
        create("qualiclip", checkpoint=tmp_path / "other.pth")
    for wrong in (0, -1.0, True, "2", float("nan")):
        with pytest.raises(InvalidOptionError, match="temperature= must be a positive number"):
            create("qualiclip", checkpoint=qualiclip_file[2], temperature=wrong)


def test_maclip_fuses_cosine_and_magnitude(images, tmp_path):
    """The formulas of the paper, patch by patch."""
    model = small_clip.build(small_clip.RESNET, seed=2)
    torch.save(small_clip.state(model), tmp_path / "clip.pt")
    pairs = "Good image/bad image/Sharp image/blurry image/sharp edges/blurry edges/"
    pairs += "High resolution image/low resolution image/Noise-free image/noisy image"
    texts = texts_of(model, pairs.split("/"))
    expected = []
    for image in images:
        squeezed = F.interpolate(((image - MEAN) / STD)[None], (224, 224), mode="bilinear")
        shown = torch.cat([patches_of(image, 128), squeezed]) * STD + MEAN
        features = encoded_by_clipiqa(tmp_path / "clip.pt", shown, "clipiqa")
        scale = model.logit_scale.exp()
        cosine = (scale * F.normalize(features, dim=-1) @ texts.T).view(-1, 5, 2).softmax(dim=-1)[..., 0].mean(dim=1)
        x = features.abs() / (features.abs().std(dim=1, keepdim=True) + 1e-6)
        magnitude = (2 * ((x + 1).sqrt() - 1)).mean(dim=1)
        gap = cosine - magnitude
        weight = torch.sigmoid(1.0 + gap - (0.6 - gap))
        expected.append((weight * cosine + (1 - weight) * magnitude).mean())
    metric = create("maclip", backbone_checkpoint=tmp_path / "clip.pt")
    torch.testing.assert_close(metric(images), torch.stack(expected), **TOLERANCE)
    assert torch.stack(expected).std() > 1e-4
