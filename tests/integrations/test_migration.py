"""What the page on migration says of pyiqa, torchmetrics and piq is true of the installed versions.

Their weights cannot be downloaded here. Where one of their models is needed, a linear layer stands for its CLIP.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType

import numpy as np
import packaging.version
import pytest
import torch
from PIL import Image

pytestmark = pytest.mark.filterwarnings("ignore")  # what the libraries' own imports say

import piq  # noqa: E402
import piq.clip_iqa  # noqa: E402
import pyiqa  # noqa: E402
from open_clip import tokenize  # noqa: E402
from pyiqa.default_model_configs import DEFAULT_CONFIGS  # noqa: E402
from torchmetrics.functional.multimodal import clip_iqa as torchmetrics_function  # noqa: E402
from torchmetrics.multimodal import clip_iqa as torchmetrics_module  # noqa: E402

from perceptmetrics import InvalidImageError, create_metric, list_metrics, list_models  # noqa: E402
from perceptmetrics.integrations.pyiqa import register_with_pyiqa  # noqa: E402
from perceptmetrics.models.prompts import ATTRIBUTES, PYIQA_PAIRS, resolve_prompts  # noqa: E402
from tests.support.registered_metrics import build  # noqa: E402

IMAGES = torch.rand((3, 3, 32, 40), generator=torch.Generator().manual_seed(0))


class StandIn(torch.nn.Module):
    """Image and text features as of a CLIP, from a linear layer."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 4)
        self.logit_scale = torch.nn.Parameter(torch.tensor(4.6))

    def encode_image(self, images, pos_embedding=True):
        return self.linear(images.mean(dim=(2, 3)))

    def encode_text(self, tokens):
        return torch.eye(4)[: len(tokens)]

    def forward(self, images, prompts, pos_embedding=False):
        logits = self.encode_image(images) @ torch.ones(4, len(prompts))
        return logits, logits.t()


@pytest.fixture
def theirs_of_torchmetrics(monkeypatch):
    loads = []

    def load(_):
        loads.append(1)
        return StandIn(), None

    def anchors(_, model, processor, prompts, device):
        return torch.nn.functional.normalize(torch.ones(len(prompts), 4).cumsum(dim=0) @ torch.rand(4, 4), dim=1)

    for module in (torchmetrics_module, torchmetrics_function):
        monkeypatch.setattr(module, "_get_clip_iqa_model_and_processor", load)
        monkeypatch.setattr(module, "_clip_iqa_get_anchor_vectors", anchors)
    return loads


@pytest.fixture
def theirs_of_piq(monkeypatch):
    monkeypatch.setattr(piq.clip_iqa.clip, "load", StandIn)
    monkeypatch.setattr(piq.clip_iqa, "download_tensor", lambda *_: torch.zeros(2, 77))
    return piq.CLIPIQA


@pytest.fixture
def psnr():
    return pyiqa.create_metric("psnr", device="cpu")


@pytest.fixture
def through_pyiqa():
    register_with_pyiqa()
    yield lambda **options: pyiqa.create_metric("perceptmetrics/lite_iqa", device="cpu", **options)
    for name in list_metrics():
        DEFAULT_CONFIGS.pop(f"perceptmetrics/{name}")


def test_the_signatures_of_pyiqa():
    assert list(inspect.signature(pyiqa.create_metric).parameters)[:3] == ["metric_name", "as_loss", "device"]
    theirs, ours = (list(inspect.signature(function).parameters) for function in (pyiqa.list_models, list_models))
    assert theirs == ours == ["metric_mode", "filter", "exclude_filters"]
    arguments = {"metric_mode": "NR", "filter": "clip*", "exclude_filters": "*512"}
    assert {"clipiqa", "clipiqa+"} == set(pyiqa.list_models(**arguments)) & set(list_models(**arguments))


def test_ranges_are_texts_in_pyiqa_and_numbers_here(psnr):
    assert all(isinstance(config["score_range"], str) for config in DEFAULT_CONFIGS.values() if "score_range" in config)
    assert {"0, 1", "~0, ~"} <= {config.get("score_range") for config in DEFAULT_CONFIGS.values()}
    metric = create_metric("lite_iqa")
    assert metric.score_range == (0.0, 1.0)
    for name in ("lower_better", "metric_mode", "metric_name"):
        assert type(getattr(psnr, name)) is type(getattr(metric, name))


def test_the_prompts_of_pyiqa_are_ours_by_that_name(monkeypatch):
    gone = ModuleType("pkg_resources")  # setuptools 81 has it no more, and the package `clip` asks it for this one
    gone.packaging = packaging
    monkeypatch.setitem(sys.modules, "pkg_resources", gone)
    from pyiqa.archs import clipiqa_arch

    monkeypatch.setattr(clipiqa_arch, "load", lambda *_: StandIn())
    theirs = clipiqa_arch.CLIPIQA(pretrained=False)
    ours = tokenize([text for pair in PYIQA_PAIRS for text in (pair.positive, pair.negative)])
    assert torch.equal(theirs.prompt_pairs.long(), ours.long())
    assert theirs(IMAGES).shape == (3, 1)
    assert not theirs.state_dict()
    assert not list(theirs.parameters())
    ours = build("clipiqa", prompts="pyiqa")
    assert ours(IMAGES).shape == (3,)
    assert any(name.startswith("encoder.") for name in ours.state_dict())


def test_as_loss_of_pyiqa_is_the_score_itself(psnr):
    """PSNR is better when it is higher, and yet the loss is PSNR."""
    reference = IMAGES.flip(0)
    loss = pyiqa.create_metric("psnr", device="cpu", as_loss=True)
    torch.testing.assert_close(loss(IMAGES, reference), psnr(IMAGES, reference).mean())
    assert not psnr.lower_better
    pixels = IMAGES.clone().requires_grad_()
    assert not psnr(pixels, reference).requires_grad
    assert loss(pixels, reference).requires_grad
    ours = create_metric("lite_iqa", as_loss=True)
    torch.testing.assert_close(ours(IMAGES), 1 - create_metric("lite_iqa")(IMAGES).mean())


def test_weights_of_losses(through_pyiqa):
    with pytest.raises(AttributeError):
        through_pyiqa(as_loss=True, loss_weight=0.1)(IMAGES)
    assert through_pyiqa(as_loss=True, loss_weight=torch.ones(3, 1))(IMAGES).ndim == 0


def test_the_tolerances_of_the_range(through_pyiqa):
    metric = through_pyiqa()
    beyond = IMAGES.clone()
    beyond[0, 0, 0, 0] = 1.00001
    with pytest.raises(AssertionError, match="normalized"):
        metric(beyond)
    create_metric("lite_iqa").score(beyond)
    with pytest.raises(InvalidImageError):
        create_metric("lite_iqa").score(beyond + 0.001)


def test_pyiqa_reads_texts_and_not_paths_and_looks_at_no_orientation(through_pyiqa, tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    picture = Image.fromarray(values)
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.png", exif=exif)
    metric, ours = through_pyiqa(), create_metric("lite_iqa")
    with pytest.raises(Exception, match="Unsupported source type"):
        metric(tmp_path / "turned.png")
    assert metric(str(tmp_path / "turned.png")).item() == pytest.approx(ours.score(values).item(), abs=1e-5)
    turned = ours.score(np.rot90(values, -1)).item()
    assert ours(tmp_path / "turned.png").item() == pytest.approx(turned, abs=1e-5)
    clear = Image.fromarray(np.dstack([values, np.zeros((40, 60), np.uint8)]))
    assert metric(clear).item() == pytest.approx(ours.score(values).item(), abs=1e-5)
    assert ours(clear).item() == pytest.approx(ours.score(np.full_like(values, 255)).item(), abs=1e-5)


def test_the_command_line_of_pyiqa_has_these_options(through_pyiqa, tmp_path, monkeypatch, capsys):
    from pyiqa import pyiqa_cmd

    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "a.png")
    options = ["-t", str(tmp_path), "--device", "cpu", "-v"]
    monkeypatch.setattr(sys, "argv", ["pyiqa", "perceptmetrics/lite_iqa", *options])
    pyiqa_cmd.main()
    assert "'perceptmetrics/lite_iqa'" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["pyiqa", "-ls"])
    pyiqa_cmd.main()
    assert "perceptmetrics/lite_iqa" in capsys.readouterr().out


def test_the_prompts_of_torchmetrics_are_ours():
    for name, texts in torchmetrics_function._PROMPTS.items():
        (pair,) = resolve_prompts(name)
        assert (pair.positive, pair.negative) == texts
        assert (pair.name == name) is (name != "colorfullness")
    lacking = set(ATTRIBUTES) - {resolve_prompts(name)[0].name for name in torchmetrics_function._PROMPTS}
    assert lacking == {"aesthetic"}
    own = (("Cosy photo.", "Cold photo."), "quality", ("Red photo.", "Blue photo."))
    texts, names = torchmetrics_function._clip_iqa_format_prompts(own)
    assert names == [pair.name for pair in resolve_prompts(own)]
    assert texts == [text for pair in resolve_prompts(own) for text in (pair.positive, pair.negative)]


def test_the_shapes_of_torchmetrics(theirs_of_torchmetrics):
    one = torchmetrics_module.CLIPImageQualityAssessment()
    assert one(IMAGES).shape == (3,)
    assert one(IMAGES[:1]).shape == ()
    several = torchmetrics_module.CLIPImageQualityAssessment(prompts=("quality", "happy"))(IMAGES)
    assert {name: values.shape for name, values in several.items()} == {"quality": (3,), "happy": (3,)}
    with pytest.raises(ValueError, match="must be a tuple"):
        torchmetrics_module.CLIPImageQualityAssessment(prompts=["quality"])


def test_torchmetrics_gives_no_gradient_and_scores_what_is_out_of_range(theirs_of_torchmetrics):
    metric = torchmetrics_module.CLIPImageQualityAssessment()
    assert not metric.is_differentiable
    assert not metric(IMAGES.clone().requires_grad_()).requires_grad
    assert metric(IMAGES * 255).isfinite().all()
    scaled = torchmetrics_module.CLIPImageQualityAssessment(data_range=255)
    scaled.model, scaled.anchors = metric.model, metric.anchors
    torch.testing.assert_close(scaled(IMAGES * 255), metric(IMAGES))


def test_the_function_of_torchmetrics_loads_its_model_at_each_call(theirs_of_torchmetrics):
    for _ in range(2):
        torchmetrics_function.clip_image_quality_assessment(IMAGES)
    assert len(theirs_of_torchmetrics) == 2


def test_piq_is_detached_and_takes_a_range_and_no_prompts(theirs_of_piq):
    assert list(inspect.signature(theirs_of_piq).parameters) == ["data_range"]
    assert issubclass(theirs_of_piq, torch.nn.modules.loss._Loss)
    metric = theirs_of_piq()
    scores = metric(IMAGES.clone().requires_grad_())
    assert scores.shape == (3, 1)
    assert not scores.requires_grad
    assert metric(IMAGES * 255).isfinite().all()
    scaled = theirs_of_piq(data_range=255)
    scaled.feature_extractor, scaled.anchors = metric.feature_extractor, metric.anchors
    torch.testing.assert_close(scaled(IMAGES * 255), metric(IMAGES))


def test_ours_refuses_what_they_score_by_mistake():
    with pytest.raises(InvalidImageError, match="divide by 255"):
        build("clipiqa").score(IMAGES * 255)
