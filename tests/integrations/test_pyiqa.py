"""Our metrics through pyiqa's own functions, in pyiqa's conventions."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch

pytestmark = pytest.mark.filterwarnings("ignore")  # what pyiqa's own imports say

import pyiqa  # noqa: E402
from pyiqa.default_model_configs import DEFAULT_CONFIGS  # noqa: E402

from perceptmetrics import create_metric, list_metrics, metric_info, register_metric  # noqa: E402
from perceptmetrics.errors import InvalidImageError, InvalidOptionError, MissingExtraError  # noqa: E402
from perceptmetrics.images.examples import sample_photographs  # noqa: E402
from perceptmetrics.integrations.pyiqa import register_with_pyiqa  # noqa: E402
from tests.support import small_clip  # noqa: E402
from tests.support.registered_metrics import temporary_metrics, tiny  # noqa: E402

IMAGES = torch.rand((2, 3, 48, 64), generator=torch.Generator().manual_seed(0))
THEIRS = dict(DEFAULT_CONFIGS)


@pytest.fixture(autouse=True)
def registries_as_they_were():
    only_theirs()
    with temporary_metrics():
        yield
    only_theirs()


def only_theirs():
    DEFAULT_CONFIGS.clear()
    DEFAULT_CONFIGS.update(THEIRS)


@pytest.fixture
def tiny_clipiqa(tmp_path):
    small_clip.register(tmp_path)
    register_metric(tiny(metric_info("clipiqa")), replace=True)


def test_every_metric_is_listed_and_none_of_theirs_changes():
    names = register_with_pyiqa()
    assert names == [f"perceptmetrics/{name}" for name in list_metrics()]
    assert pyiqa.list_models(filter="perceptmetrics/*") == sorted(names, key=pyiqa.api_helpers._natural_key)
    assert pyiqa.list_models("NR", filter="perceptmetrics/lite*") == [
        f"perceptmetrics/lite_{one}" for one in ("attributes", "iqa")
    ]
    assert not set(names) & set(pyiqa.list_models("FR"))
    assert {name: DEFAULT_CONFIGS[name] for name in THEIRS} == THEIRS


def test_scores_are_ours_in_their_shape():
    register_with_pyiqa()
    metric = pyiqa.create_metric("perceptmetrics/lite_iqa", device="cpu")
    scores = metric(IMAGES)
    assert scores.shape == (2, 1)
    assert not scores.requires_grad
    assert torch.equal(scores[:, 0], create_metric("lite_iqa")(IMAGES))
    assert (metric.metric_mode, metric.lower_better, metric.score_range) == ("NR", False, "0, 1")
    assert isinstance(metric.score_range, type(pyiqa.create_metric("psnr", device="cpu").score_range))


def test_paths_and_pictures_are_read(tmp_path):
    register_with_pyiqa()
    metric = pyiqa.create_metric("perceptmetrics/lite_iqa", device="cpu")
    photograph = sample_photographs()["chelsea"]
    photograph.save(tmp_path / "chelsea.png")
    expected = create_metric("lite_iqa").score(photograph)
    for source in (str(tmp_path / "chelsea.png"), photograph):
        torch.testing.assert_close(metric(source), expected[:, None])


def test_labels_are_columns_and_options_go_through(tiny_clipiqa):
    register_with_pyiqa()
    options = {"prompts": ["quality", "brightness", "sharpness"], "weights": None}
    torch.manual_seed(0)
    metric = pyiqa.create_metric("perceptmetrics/clipiqa", device="cpu", **options)
    assert metric(IMAGES).shape == (2, 3)
    assert torch.equal(metric(IMAGES), metric.net.metric(IMAGES))
    assert metric.net.metric.labels == ("quality", "brightness", "sharpness")


def test_as_loss_reduces_the_score_itself_with_gradients_as_for_every_metric_of_theirs():
    register_with_pyiqa()
    loss = pyiqa.create_metric("perceptmetrics/lite_iqa", device="cpu", as_loss=True, loss_reduction="none")
    pixels = IMAGES.clone().requires_grad_()
    value = loss(pixels)
    scores = create_metric("lite_iqa")(IMAGES)[:, None]
    torch.testing.assert_close(value, scores)
    value.sum().backward()
    assert (pixels.grad.abs().amax(dim=(1, 2, 3)) > 0).all()
    loss.loss_reduction, loss.loss_weight = "mean", torch.tensor([[1.0], [0.0]])
    torch.testing.assert_close(loss(IMAGES), scores[0, 0])


def test_registering_again_adds_what_is_new_and_changes_nothing_else(tiny_clipiqa):
    before = register_with_pyiqa()
    assert register_with_pyiqa() == before
    register_metric(replace(metric_info("clipiqa"), name="infidelity"))  # "fid" in a name is special to pyiqa
    assert set(register_with_pyiqa()) - set(before) == {"perceptmetrics/infidelity"}
    metric = pyiqa.create_metric("perceptmetrics/infidelity", device="cpu", weights=None)
    assert metric(IMAGES).shape == (2, 1)


def test_names_of_theirs_are_taken_only_when_that_is_asked_for():
    with pytest.raises(InvalidOptionError, match=r"named arniqa, .* clipiqa, clipiqa\+.* override=True"):
        register_with_pyiqa(prefix="")
    assert dict(DEFAULT_CONFIGS) == THEIRS
    assert register_with_pyiqa(prefix="", override=True) == list_metrics()
    assert DEFAULT_CONFIGS["clipiqa"]["metric_opts"]["metric"] == "clipiqa"
    assert register_with_pyiqa(prefix="") == list_metrics(), "they are ours by now"


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ({}, "0, 1"),
        ({"strict_range": False}, "~0, ~1"),
        ({"lower": None, "upper": None}, "~, ~"),
        ({"lower": -6.52, "upper": None, "higher_is_better": False}, "-6.52, ~"),
    ],
)
def test_range_and_direction_are_written_as_theirs(bounds, text):
    spec = metric_info("lite_iqa")
    register_metric(replace(spec, name="other", score=replace(spec.score, **bounds)))
    register_with_pyiqa()
    metric = pyiqa.create_metric("perceptmetrics/other", device="cpu")
    assert metric.score_range == text
    assert metric.lower_better is not bounds.get("higher_is_better", True)


def test_grey_tensors_are_refused_with_our_reason():
    register_with_pyiqa()
    metric = pyiqa.create_metric("perceptmetrics/lite_iqa", device="cpu")
    with pytest.raises(InvalidImageError, match="Expected 3 channels"):
        metric(IMAGES[:, :1])


def test_without_pyiqa_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyiqa"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"perceptmetrics\[pyiqa\]"):
        register_with_pyiqa()
