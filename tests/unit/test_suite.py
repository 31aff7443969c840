"""A suite gives what its metrics give one by one, and does nothing twice."""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from dataclasses import replace

import pytest
import torch
from PIL import Image

from perceptmetrics import Metric, MetricSuite, create_metric, metric_info
from perceptmetrics.errors import InvalidImageError, InvalidOptionError, UnknownMetricError
from perceptmetrics.metrics.perceptclip import EMOTIONS
from perceptmetrics.scoring.stream import score_columns, score_images
from perceptmetrics.spec import AntonymHeadSpec, PromptPair
from perceptmetrics.weights.cache import CACHE_VARIABLE
from tests.support import released_files
from tests.support.mean_colour_metric import WHOLE, tiny_metric
from tests.support.photographs import photographs
from tests.support.registered_metrics import build, temporary_metrics, tiny

EXACT = {"atol": 1e-6, "rtol": 0.0}


def renamed(metric, name, seed=None):
    """The same metric under another name; with a seed, its crops lie elsewhere."""
    views = metric.views if seed is None else type(metric.views)(metric.views.spec, seed)
    return Metric(replace(metric.spec, name=name), views, metric.encoder, metric.head)


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """The three PerceptCLIP metrics from their tiny files: one CLIP, three sets of adapters."""
    folder = tmp_path_factory.mktemp("released")
    with pytest.MonkeyPatch.context() as patch, released_files.registered(folder / "configurations"):
        patch.setenv(CACHE_VARIABLE, str(folder / "cache"))
        return [
            create_metric(name, checkpoint=released_files.write_released(folder / f"{name}.pth", name))
            for name in released_files.NAMES
        ]


@pytest.fixture(scope="module")
def prompted():
    """CLIP-IQA twice, with other prompts and the same CLIP; each holds weights of its own."""
    other = build("clipiqa", prompts=["brightness", "new"])
    return [build("clipiqa"), renamed(other, "clipiqa_attributes")]


@pytest.fixture(scope="module")
def images():
    return photographs(230, 260)[:3]


class Calls:
    """Counts the images that reach each part of some metrics."""

    def __init__(self, metrics):
        self.counts = Counter()
        for metric in metrics:
            for part in ("views", "encoder"):
                getattr(metric, part).register_forward_hook(self._hook(metric.metric_name, part))

    def _hook(self, name, part):
        return lambda *_: self.counts.update([f"{part} of {name}"])

    def take(self):
        taken, self.counts = dict(self.counts), Counter()
        return taken


def assert_same(scores, expected):
    assert list(scores) == list(expected)
    for name in scores:
        torch.testing.assert_close(scores[name], expected[name], **EXACT)


def one_by_one(metrics, images):
    return {metric.metric_name: metric(images) for metric in metrics}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1,)])
def test_a_suite_equals_its_metrics_one_by_one(released, images, order):
    metrics = [released[place] for place in order]
    scores = MetricSuite(metrics)(images)
    assert_same(scores, one_by_one(metrics, images))
    assert {name: tuple(part.shape) for name, part in scores.items() if name == "perceptclip_emo"} in (
        {},
        {"perceptclip_emo": (3, 8)},
    )


def test_metrics_of_all_kinds_go_together(released, prompted, images):
    metrics = [build("lite_iqa"), *released, *prompted]
    scores = MetricSuite(metrics)(images)
    assert_same(scores, one_by_one(metrics, images))
    assert {name: tuple(part.shape) for name, part in scores.items()} == {
        "lite_iqa": (3,),
        "perceptclip_iqa": (3,),
        "perceptclip_mem": (3,),
        "perceptclip_emo": (3, 8),
        "clipiqa": (3,),
        "clipiqa_attributes": (3, 2),
    }


# Nothing twice


@pytest.fixture(scope="module")
def one_clip():
    """LAION's two heads, CLIPScore and sixteen attributes: four metrics of the same CLIP at the same view."""
    clip_score = metric_info("clip_score")
    pairs = tuple(PromptPair(name=f"a{n}", positive=f"word {n}.", negative=f"no word {n}.") for n in range(16))
    score = replace(metric_info("clipiqa").score, labels=tuple(pair.name for pair in pairs))
    attributes = replace(clip_score, name="attributes", head=AntonymHeadSpec(pairs=pairs), score=score)
    made = [build(name, seed=0) for name in ("laion_aes", "laion_aes_v1", "clip_score")]
    with temporary_metrics(tiny(attributes)):
        return [*made, create_metric("attributes", weights=None, seed=0)]


def test_all_metrics_of_a_clip_at_a_view_share_one_pass(one_clip, released, images):
    """Each batch goes once through the encoder; those that were tuned share its view, and run their own."""
    suite, calls = MetricSuite(one_clip), Calls(one_clip)
    prompt = "a photo"
    scores = suite(images, prompt)
    assert calls.take() == {"views of laion_aes": 1, "encoder of laion_aes": 1}
    suite.score(list(images), prompt, batch_size=1)
    assert calls.take() == {"views of laion_aes": 3, "encoder of laion_aes": 3}
    for metric in one_clip:
        alone = metric(images, prompt) if metric.reads_prompts else metric(images)
        torch.testing.assert_close(scores[metric.metric_name], alone, **EXACT)
    assert scores["attributes"].shape == (3, 16)
    tuned = copy.deepcopy(released[1:])
    suite, calls = MetricSuite(tuned), Calls(tuned)
    suite(images)
    assert calls.take() == {
        "views of perceptclip_mem": 1,
        "encoder of perceptclip_mem": 1,
        "encoder of perceptclip_emo": 1,
    }


def test_other_prompts_on_the_same_clip_run_it_once(prompted, images):
    """Although the two hold the same weights at two places in memory."""
    assert prompted[0].encoder is not prompted[1].encoder
    metrics = copy.deepcopy(prompted)
    suite, calls = MetricSuite(metrics), Calls(metrics)
    scores = suite(images)
    assert calls.take() == {"views of clipiqa": 1, "encoder of clipiqa": 1}
    assert_same(scores, one_by_one(prompted, images))


def test_one_view_for_encoders_that_differ(released, images):
    metrics = copy.deepcopy(released[1:])
    suite, calls = MetricSuite(metrics), Calls(metrics)
    suite(images)
    assert calls.take() == {
        "views of perceptclip_mem": 1,
        "encoder of perceptclip_mem": 1,
        "encoder of perceptclip_emo": 1,
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_crops_at_other_places_are_another_view(released, images, seed):
    quality = copy.deepcopy(released[0])
    metrics = [quality, renamed(quality, "again", seed)]
    suite = MetricSuite(metrics)
    calls = Calls([quality])
    metrics[1].views.register_forward_hook(lambda *_: calls.counts.update(["views of again"]))
    scores = suite(images)
    counts = calls.take()
    assert counts["encoder of perceptclip_iqa"] == 1 + seed
    assert counts.get("views of again", 0) == seed
    assert torch.equal(scores["again"], scores["perceptclip_iqa"]) is (seed == 0)
    assert_same(scores, one_by_one(metrics, images))


def test_one_changed_weight_is_another_encoder(prompted, images):
    metrics = copy.deepcopy(prompted)
    with torch.no_grad():
        list(metrics[1].encoder.parameters())[-1][-1].add_(0.1)
    suite, calls = MetricSuite(metrics), Calls(metrics)
    scores = suite(images)
    assert calls.take() == {"views of clipiqa": 1, "encoder of clipiqa": 1, "encoder of clipiqa_attributes": 1}
    assert_same(scores, one_by_one(metrics, images))


@pytest.mark.parametrize("field", ["quick_gelu", "positional_embedding"])
def test_equal_weights_in_another_encoder_are_not_mistaken(prompted, field):
    metrics = copy.deepcopy(prompted)
    value = {"quick_gelu": False, "positional_embedding": "interpolate"}[field]
    spec = metrics[1].spec
    metrics[1].spec = replace(spec, encoder=replace(spec.encoder, **{field: value}))
    calls = Calls(metrics)
    MetricSuite(metrics)(torch.rand(1, 3, 64, 64))
    assert calls.take()["encoder of clipiqa_attributes"] == 1


def test_another_precision_is_another_encoder(prompted, images):
    metrics = copy.deepcopy(prompted)
    metrics[1].to(torch.float64)
    assert_same(MetricSuite(metrics)(images), one_by_one(metrics, images))


# All that a metric can do


def test_images_of_mixed_sizes_keep_their_order(released, images):
    mixed = [images[0], images[1, :, :225], images[2], images[0, :, :, :230]]
    suite = MetricSuite(released)
    expected = {metric.metric_name: torch.cat([metric(image[None]) for image in mixed]) for metric in released}
    assert_same(suite(mixed), expected)
    assert_same(suite.score(mixed, batch_size=2, workers=1), expected)


def test_a_single_image_is_a_batch_of_one(released, images):
    suite = MetricSuite(released)
    assert_same(suite(images[0]), suite(images[:1]))


def test_files_and_folders_are_scored(released, images, tmp_path):
    for number, image in enumerate(images):
        Image.fromarray((image.permute(1, 2, 0) * 255).byte().numpy()).save(tmp_path / f"{number}.png")
    suite = MetricSuite(released)
    expected = {metric.metric_name: metric.score(tmp_path) for metric in released}
    assert_same(suite.score(tmp_path), expected)
    assert_same(suite(str(tmp_path / "*.png")), expected)
    assert_same(suite(tmp_path / "1.png"), {name: scores[1:2] for name, scores in expected.items()})
    with pytest.raises(InvalidImageError, match="empty"):
        suite.score([])


def test_gradients_reach_the_pixels_from_every_metric(released, prompted, images):
    metrics = [released[1], *prompted]
    weights = {"perceptclip_mem": 1.0, "clipiqa": 2.0, "clipiqa_attributes": 3.0}
    gradients = []
    for scorer in (MetricSuite(metrics), lambda pixels: one_by_one(metrics, pixels)):
        pixels = images[:1].clone().requires_grad_()
        sum(weights[name] * scores.sum() for name, scores in scorer(pixels).items()).backward()
        gradients.append(pixels.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_the_modules_behave_as_one(released, prompted, images):
    suite = MetricSuite(copy.deepcopy([*released, *prompted]))
    expected = suite(images)
    assert suite.device == torch.device("cpu")
    assert not any(parameter.requires_grad for parameter in suite.parameters())
    assert_same(suite.train()(images), expected)
    assert {key.split(".")[1] for key in suite.state_dict()} == {"0", "1", "2", "3", "4"}
    loaded = MetricSuite(copy.deepcopy([*released, *prompted]))
    loaded.load_state_dict(suite.state_dict())
    assert_same(loaded(images), expected)


@pytest.mark.parametrize("way", [lambda suite: pickle.loads(pickle.dumps(suite)), copy.deepcopy])
def test_a_copy_scores_the_same_and_still_does_nothing_twice(prompted, images, way):
    suite = MetricSuite(prompted)
    copied = way(suite)
    assert_same(copied(images), suite(images))
    calls = Calls(copied.metrics)
    copied(images)
    assert calls.take() == {"views of clipiqa": 1, "encoder of clipiqa": 1}


def test_names_are_created_with_common_options():
    suite = MetricSuite(["lite_iqa"], device="cpu", dtype=torch.float64)
    assert list(suite(torch.rand(1, 3, 40, 40))) == ["lite_iqa"]
    assert next(suite.parameters()).dtype == torch.float64
    assert MetricSuite([tiny_metric(), "lite_iqa"]).to_output(torch.zeros(1, 2)).keys() == {"tiny", "lite_iqa"}


# Errors


@pytest.mark.parametrize(
    ("metrics", "error", "said"),
    [
        ([], InvalidOptionError, "needs at least one metric"),
        (["lite_iqa", "lite_iqa"], InvalidOptionError, "lite_iqa is given more than once"),
        (["lite_iqua"], UnknownMetricError, "Did you mean 'lite_iqa'"),
    ],
)
def test_a_suite_that_makes_no_sense_is_refused(metrics, error, said):
    with pytest.raises(error, match=said):
        MetricSuite(metrics)


def test_metrics_on_several_devices_are_refused():
    with pytest.raises(InvalidOptionError, match="must be on one device"):
        MetricSuite([tiny_metric(), build("lite_iqa").to("meta")])


def test_an_image_that_one_metric_cannot_take_is_named(prompted):
    with pytest.raises(InvalidImageError, match="Image 1: Images must be at least"):
        MetricSuite([tiny_metric(), *prompted])([torch.rand(3, 64, 64), torch.rand(3, 8, 8)])


# `score_images`


def test_streams_are_scored_by_a_suite(released, images):
    metrics = copy.deepcopy(released[1:])
    calls = Calls(metrics)
    rows = list(score_images(metrics, list(images), batch_size=8, workers=0))
    assert calls.take() == {
        "views of perceptclip_mem": 1,
        "encoder of perceptclip_mem": 1,
        "encoder of perceptclip_emo": 1,
    }
    assert score_columns(metrics) == ["perceptclip_mem", *(f"perceptclip_emo.{label}" for label in EMOTIONS)]
    for place, row in enumerate(rows):
        expected = [metrics[0](images)[place].item(), *metrics[1](images)[place].tolist()]
        assert list(row.scores.values()) == pytest.approx(expected, abs=1e-6)


def test_different_views_of_one_encoder_are_kept_apart():
    """Both run the same encoder, on different pixels."""
    whole = tiny_metric(views=(WHOLE,))
    small = renamed(tiny_metric(views=(replace(WHOLE, max_long_side=4),)), "small")
    images = torch.rand(2, 3, 9, 5)
    scores = MetricSuite([whole, small])(images)
    assert_same(scores, one_by_one([whole, small], images))
    assert not torch.allclose(scores["tiny"], scores["small"])


def test_a_suite_that_loads_other_weights_finds_out_anew_what_is_common() -> None:
    first, second = build("clipiqa"), build("clipiqa", prompts=["brightness"])
    second.spec = replace(second.spec, name="brightness")
    suite = MetricSuite([first, second])
    state = {name: value.clone() for name, value in suite.state_dict().items()}
    changed = next(name for name in state if name.startswith("metrics.1.encoder") and state[name].ndim > 1)
    state[changed] = state[changed] * 1.5
    suite.load_state_dict(state)
    images = photographs(96, 128)[:2]
    torch.testing.assert_close(suite(images)["brightness"], second(images))
