"""PerceptCLIP's options, its labels and ranges, and naming the emotion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from perceptmetrics import Metric, create_metric, metric_info
from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.factory.options import apply_options
from perceptmetrics.metrics.clipiqa import CLIPIQA
from perceptmetrics.metrics.perceptclip import (
    EMOTIONS,
    PERCEPTCLIP_EMO,
    PERCEPTCLIP_IQA,
    PERCEPTCLIP_MEM,
    PLEASANT_EMOTIONS,
)
from perceptmetrics.models.encoders import Encoder
from perceptmetrics.spec import IdentityMap
from perceptmetrics.spec.json import spec_from_json, spec_to_json
from perceptmetrics.weights.cache import CACHE_VARIABLE
from tests.support import released_files
from tests.support.photographs import photographs

IQA, MEM, EMO = released_files.NAMES
SPECS = {IQA: PERCEPTCLIP_IQA, MEM: PERCEPTCLIP_MEM, EMO: PERCEPTCLIP_EMO}
# EmoSet's order, as facts about the release state it.
ORDER = ("amusement", "awe", "contentment", "excitement", "anger", "disgust", "fear", "sadness")


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """A function that creates a metric from its tiny released file."""
    folder = tmp_path_factory.mktemp("released")
    files = {name: released_files.write_released(folder / f"{name}.pth", name) for name in SPECS}
    with pytest.MonkeyPatch.context() as patch, released_files.registered(folder / "configurations"):
        patch.setenv(CACHE_VARIABLE, str(folder / "cache"))
        yield lambda name, **options: create_metric(name, checkpoint=files[name], **options)


@pytest.fixture(scope="module")
def images():
    return photographs(230, 260)[:3]


# What the scores mean


def test_the_three_metrics():
    assert {name: metric_info(name).task for name in SPECS} == {IQA: "quality", MEM: "memorability", EMO: "emotion"}
    for spec in SPECS.values():
        assert not spec.lower_better
        assert (spec.score.lower, spec.score.upper) == (0, 1)
        assert spec.encoder.lora.scale == 0.5
        assert spec.head.widths[:-1] == (768, 512, 256)
    assert [spec.score.strict_range for spec in SPECS.values()] == [False, False, True]
    assert [spec.score.range_text for spec in SPECS.values()] == ["~0 to ~1", "~0 to ~1", "0 to 1"]


def test_the_labels_are_in_emosets_order_and_the_first_four_are_pleasant():
    assert EMOTIONS == PERCEPTCLIP_EMO.score.labels == ORDER
    assert PLEASANT_EMOTIONS == PERCEPTCLIP_EMO.score.positive_labels == ORDER[:4]
    assert PERCEPTCLIP_IQA.score.labels == PERCEPTCLIP_MEM.score.labels == ()


@pytest.mark.parametrize("options", [{}, {"raw": True}, {"crops": 4, "crop_mode": "grid"}])
@pytest.mark.parametrize("name", SPECS)
def test_specifications_survive_json(name, options):
    if name != IQA:
        options = {key: value for key, value in options.items() if key == "raw" and name == EMO}
    spec = apply_options(SPECS[name], options)
    assert spec_from_json(spec_to_json(spec)) == spec


@pytest.mark.parametrize("name", SPECS)
def test_a_metric_declares_what_its_specification_says(make, name):
    metric = make(name)
    assert metric.metric_name == name
    assert metric.lower_better is False
    assert metric.score_range == (0, 1)
    assert metric.labels == (ORDER if name == EMO else ())


# Raw outputs


def test_raw_quality_is_what_the_published_map_starts_from(make, images):
    scores, raw = make(IQA)(images), make(IQA, raw=True)(images)
    torch.testing.assert_close(scores, (raw + 6.52) / 9.63, atol=1e-6, rtol=0)
    assert make(IQA, raw=True).score_range == (None, None)
    assert raw.std() > 1e-3


def test_the_map_of_quality_is_the_published_one():
    raw = torch.tensor([-6.52, 3.11, 0.0], dtype=torch.float64)
    score = PERCEPTCLIP_IQA.score
    mapped = score.map(raw)
    torch.testing.assert_close(mapped, torch.tensor([0, 1, 6.52 / 9.63], dtype=torch.float64))


def test_raw_emotions_are_logits(make, images):
    probabilities, logits = make(EMO)(images), make(EMO, raw=True)(images)
    torch.testing.assert_close(probabilities, logits.softmax(dim=1), atol=1e-6, rtol=0)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(3))
    assert probabilities.min() > 0
    assert not torch.allclose(logits.sum(dim=1), torch.ones(3))


def test_quality_is_the_mean_over_the_crops(make, images):
    metric = make(IQA, raw=True)
    with torch.no_grad():
        [views] = metric.views(images)
        one_by_one = metric.head(metric.encoder(views))[:, 0].reshape(3, 15)
    assert one_by_one.std(dim=1).min() > 1e-4
    torch.testing.assert_close(metric(images), one_by_one.mean(dim=1))


# Crops


class Corners(Encoder):
    """Tells where each crop lies."""

    feature_size, min_size = 2, 1

    def __init__(self):
        super().__init__()
        self.seen = []
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def encode(self, pixels):
        self.seen += [tuple(corner.tolist()) for corner in pixels[:, :, 0, 0]]
        return torch.ones(len(pixels), 2)


def places(make, **options):
    """The first pixels of the crops of a picture that is different everywhere."""
    metric = make(IQA, **options)
    spy = Metric(metric.spec, metric.views, Corners(), torch.nn.Linear(2, 1))
    spy(torch.rand(1, 3, 512, 384, generator=torch.Generator().manual_seed(0)))
    return spy.encoder.seen


@pytest.mark.parametrize("mode", ["random", "grid"])
@pytest.mark.parametrize("count", [1, 2, 7, 15])
def test_the_number_of_crops_is_chosen(make, count, mode):
    assert len(places(make, crops=count, crop_mode=mode)) == count


def test_the_mode_of_crops_is_chosen(make):
    default = places(make)
    assert default == places(make, crop_mode="random") == places(make, crops=15, seed=0)
    assert len(default) == 15
    grid = places(make, crop_mode="grid")
    assert len(set(grid)) == 15
    assert grid != default


def test_the_seed_moves_random_crops_only(make, images):
    assert places(make, seed=1) != places(make, seed=2)
    assert places(make, seed=1, crop_mode="grid") == places(make, seed=2, crop_mode="grid")
    assert torch.equal(make(IQA, seed=1)(images), make(IQA, seed=1)(images))
    assert not torch.equal(make(IQA, seed=1)(images), make(IQA, seed=2)(images))
    assert torch.equal(make(MEM, seed=1)(images), make(MEM, seed=2)(images))


def test_a_score_depends_on_nothing_but_image_and_seed(make, images):
    metric = make(IQA)
    expected = metric(images)
    torch.manual_seed(123)
    torch.testing.assert_close(metric(images.flip(0)).flip(0), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.cat([metric(image[None]) for image in images]), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("spec", "options", "said"),
    [
        (PERCEPTCLIP_IQA, {"crops": 0}, "crops= must be a positive number of crops, got 0"),
        (PERCEPTCLIP_IQA, {"crops": True}, "got True"),
        (PERCEPTCLIP_IQA, {"crops": 2.0}, "got 2.0"),
        (PERCEPTCLIP_IQA, {"crop_mode": "centre"}, r"one of \('random', 'grid'\), got 'centre'"),
        (PERCEPTCLIP_IQA, {"crop": 3}, "no option 'crop'. Did you mean 'crops'"),
        (PERCEPTCLIP_IQA, {"prompts": "quality"}, "no option 'prompts'"),
        (PERCEPTCLIP_MEM, {"crops": 3}, "no option 'crops'. It takes none"),
        (PERCEPTCLIP_MEM, {"raw": True}, "no option 'raw'. It takes none"),
        (PERCEPTCLIP_EMO, {"crop_mode": "grid"}, "no option 'crop_mode'. Known: raw"),
        (CLIPIQA, {"raw": True}, "no option 'raw'"),
    ],
)
def test_options_that_do_not_fit_are_refused(spec, options, said):
    with pytest.raises(InvalidOptionError, match=said):
        apply_options(spec, options)


@pytest.mark.parametrize("options", [{}, {"crops": None, "crop_mode": None, "raw": None}, {"raw": False}])
def test_options_that_are_not_stated_change_nothing(options):
    assert apply_options(PERCEPTCLIP_IQA, options) == PERCEPTCLIP_IQA


def test_options_change_what_they_name():
    changed = apply_options(PERCEPTCLIP_IQA, {"crops": 9, "crop_mode": "grid", "raw": True})
    [view] = changed.views.views
    assert (view.count, view.mode) == (9, "grid")
    views = replace(changed.views, views=PERCEPTCLIP_IQA.views.views)
    assert replace(changed, views=views, score=PERCEPTCLIP_IQA.score) == PERCEPTCLIP_IQA
    assert changed.score.map == IdentityMap()
    assert not changed.lower_better


# Naming the emotion


def test_a_single_image_has_one_prediction(make, images, tmp_path):
    metric, picture = make(EMO), Image.fromarray((images[1].permute(1, 2, 0) * 255).byte().numpy())
    picture.save(tmp_path / "photo.png")
    scores = metric.score(picture)[0]
    for image in (picture, tmp_path / "photo.png", str(tmp_path / "photo.png"), np.asarray(picture)):
        prediction = metric.predict(image)
        assert list(prediction) == ["label", "probabilities"]
        assert prediction["label"] == ORDER[int(scores.argmax())]
        assert list(prediction["probabilities"]) == list(ORDER)
        assert list(prediction["probabilities"].values()) == pytest.approx(scores.tolist())
    assert isinstance(metric.predict(images[0]), dict)


def test_several_images_have_a_list_of_predictions(make, images, tmp_path):
    metric, scores = make(EMO), make(EMO)(images)
    Image.fromarray((images[0].permute(1, 2, 0) * 255).byte().numpy()).save(tmp_path / "photo.png")
    for several in (images, list(images), (image for image in images)):
        predictions = metric.predict(several)
        assert [prediction["label"] for prediction in predictions] == [ORDER[place] for place in scores.argmax(dim=1)]
    assert len(metric.predict(images[:1])) == 1
    assert len(metric.predict(tmp_path)) == 1
    assert len(metric.predict(f"{tmp_path}/*.png")) == 1


def test_binary_predictions_sum_up_the_pleasant_ones(make, images):
    metric, scores = make(EMO), make(EMO)(images)
    for prediction, row in zip(metric.predict(images, binary=True), scores, strict=True):
        positive = row[:4].sum().item()
        assert prediction["probabilities"] == pytest.approx({"positive": positive, "negative": 1 - positive})
        assert prediction["label"] == ("positive" if positive > 0.5 else "negative")


@pytest.mark.parametrize(("name", "options"), [(IQA, {}), (MEM, {}), (EMO, {"raw": True})])
def test_metrics_without_probabilities_predict_nothing(make, images, name, options):
    with pytest.raises(InvalidOptionError, match="gives no probabilities"):
        make(name, **options).predict(images)


def test_binary_predictions_need_to_know_what_is_pleasant(make, images):
    metric = make(EMO)
    metric.spec = replace(metric.spec, score=replace(metric.spec.score, positive_labels=()))
    with pytest.raises(InvalidOptionError, match="which of its labels are positive"):
        metric.predict(images, binary=True)
    assert metric.predict(images[0])["label"] in ORDER


def test_what_is_no_image_is_not_predicted(make):
    with pytest.raises(InvalidImageError):
        make(EMO).predict([])
    with pytest.raises(InvalidImageError, match=r"not in|between|\[0, 1\]"):
        make(EMO).predict(torch.full((3, 40, 40), 7.0))


def test_int8_is_no_loss():
    with pytest.raises(InvalidOptionError, match="needs gradients"):
        create_metric("perceptclip_mem", weights=None, precision="int8", as_loss=True)
