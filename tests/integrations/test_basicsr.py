"""`PerceptMetricsLoss` built from YAML by BasicSR's registry, by pyiqa's, and by one like them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
import torch
import yaml

from perceptmetrics import create_metric
from perceptmetrics.errors import InvalidOptionError, UnknownMetricError
from perceptmetrics.integrations.basicsr import PerceptMetricsLoss, register_with_basicsr
from tests.integrations.registry_stand_in import Registry, build_from

pytestmark = pytest.mark.filterwarnings("ignore")  # what pyiqa's own imports say

IMAGES = torch.rand((2, 3, 48, 64), generator=torch.Generator().manual_seed(0))
OPTIONS = "{type: PerceptMetricsLoss, metric: lite_iqa, loss_weight: 0.1, reduction: mean}"


def stand_in():
    registry = Registry()
    return registry, build_from(registry)


def of_pyiqa():
    from pyiqa.losses import build_loss
    from pyiqa.utils.registry import LOSS_REGISTRY

    return LOSS_REGISTRY, build_loss


@pytest.fixture(params=[stand_in, of_pyiqa], ids=lambda param: param.__name__)
def registry_and_build(request):
    return request.param()


def test_built_from_yaml_it_is_a_loss_to_minimise(registry_and_build):
    registry, build = registry_and_build
    register_with_basicsr(registry)
    loss = build(yaml.safe_load(OPTIONS))
    restored = IMAGES.clone().requires_grad_()
    value = loss(restored, IMAGES)
    torch.testing.assert_close(value, 0.1 * (1 - create_metric("lite_iqa")(IMAGES)).mean())
    value.backward()
    assert (restored.grad.abs().amax(dim=(1, 2, 3)) > 0).all()
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_registering_again_does_no_harm(registry_and_build):
    registry, _ = registry_and_build
    register_with_basicsr(registry)
    register_with_basicsr(registry)
    assert registry.get("PerceptMetricsLoss") is PerceptMetricsLoss


@pytest.mark.parametrize(("reduction", "shape"), [("mean", ()), ("sum", ()), ("none", (2,))])
def test_reductions_and_the_pair_that_models_expect_of_a_perceptual_loss(reduction, shape):
    loss = PerceptMetricsLoss("lite_iqa", reduction=reduction, with_style=True)
    value, style = loss(IMAGES, IMAGES)
    assert style is None
    assert value.shape == shape
    torch.testing.assert_close(PerceptMetricsLoss("lite_iqa", reduction=reduction)(IMAGES), value)


def test_options_of_the_metric_go_through():
    with pytest.raises(InvalidOptionError, match="single score"):
        PerceptMetricsLoss("lite_iqa", loss_target="brightness")
    with pytest.raises(InvalidOptionError, match="'mean', 'sum' or 'none'"):
        PerceptMetricsLoss("lite_iqa", reduction="average")
    with pytest.raises(UnknownMetricError, match="lite_iqa"):
        PerceptMetricsLoss("lite_iqqa")


def test_another_class_of_that_name_is_not_replaced():
    registry = Registry()
    registry.register(type("PerceptMetricsLoss", (), {}))
    with pytest.raises(InvalidOptionError, match="has another class named"):
        register_with_basicsr(registry)


def test_what_is_no_registry_is_refused():
    with pytest.raises(InvalidOptionError, match=r"methods register, get and __contains__.*got dict"):
        register_with_basicsr({})


def test_where_basicsr_cannot_be_imported_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "basicsr", None)
    with pytest.raises(InvalidOptionError, match=r"cannot be imported .*register_with_basicsr\(LOSS_REGISTRY\)"):
        register_with_basicsr()


WITH_BASICSR = """
import sys, types, yaml, torch
from torchvision.transforms.functional import rgb_to_grayscale
gone = types.ModuleType("torchvision.transforms.functional_tensor")  # BasicSR 1.4.2 imports it from where it was
gone.rgb_to_grayscale = rgb_to_grayscale
sys.modules[gone.__name__] = gone

from perceptmetrics.integrations.basicsr import register_with_basicsr
register_with_basicsr()
register_with_basicsr()
from basicsr.models import build_model

model = build_model(yaml.safe_load('''
model_type: SRModel
num_gpu: 0
dist: false
is_train: true
path: {}
network_g: {type: MSRResNet, num_in_ch: 3, num_out_ch: 3, num_feat: 4, num_block: 1, upscale: 2}
train:
  optim_g: {type: Adam, lr: 0.001}
  scheduler: {type: MultiStepLR, milestones: [100]}
  pixel_opt: {type: L1Loss, loss_weight: 1.0}
  perceptual_opt: {type: PerceptMetricsLoss, metric: lite_iqa, loss_weight: 0.1, with_style: true}
'''))
model.feed_data({"lq": torch.rand(1, 3, 24, 24), "gt": torch.rand(1, 3, 48, 48)})
model.optimize_parameters(1)
assert set(model.log_dict) == {"l_pix", "l_percep"}, model.log_dict
assert 0 < model.log_dict["l_percep"] < 0.1, model.log_dict
"""


@pytest.mark.skipif(importlib.util.find_spec("basicsr") is None, reason="BasicSR is not installed")
def test_a_model_of_basicsr_itself_trains_with_it():
    ended = subprocess.run([sys.executable, "-c", WITH_BASICSR], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
