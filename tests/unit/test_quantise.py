"""8-bit encoders score nearly as floats do, and change nothing but themselves; so do 16-bit ones."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings
from types import SimpleNamespace

import pytest
import torch

from perceptmetrics import MetricSuite, create_metric
from perceptmetrics.errors import InvalidOptionError, MissingExtraError
from perceptmetrics.models.quantize import quantise
from perceptmetrics.scoring.origin import origin_of
from perceptmetrics.weights.cache import CACHE_VARIABLE
from tests.support import released_files
from tests.support.mean_colour_metric import tiny_metric
from tests.support.photographs import photographs
from tests.support.registered_metrics import build
from tests.support.released_files import NAMES, write_released


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The three released files, tiny."""
    folder = tmp_path_factory.mktemp("released")
    return {name: write_released(folder / f"{name}.pth", name) for name in NAMES}


@pytest.fixture(scope="module", autouse=True)
def tiny_metrics(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, released_files.registered(tmp_path_factory.mktemp("configurations")):
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def images():
    return photographs(230, 260)[:4]


@pytest.mark.parametrize("name", NAMES)
def test_int8_scores_nearly_as_float(files, images, name):
    plain, quantised = (create_metric(name, checkpoint=files[name], precision=kind) for kind in (None, "int8"))
    expected, scores = plain(images), quantised.score(images)
    assert scores.dtype == torch.float32
    assert not torch.equal(scores, expected)
    spread = expected.std(dim=0).max()
    assert (scores - expected).abs().max() < 0.25 * spread
    assert torch.equal(quantised.score(images), scores)


def test_every_linear_layer_of_the_blocks_is_quantised(files):
    metric = create_metric(NAMES[1], checkpoint=files[NAMES[1]], precision="int8")
    layers = {
        name: type(module.weight.data) is not torch.Tensor
        for name, module in metric.encoder.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    assert len(layers) == 4 * released_files.LAYERS
    assert all(layers.values())
    assert not any(type(parameter.data) is not torch.Tensor for parameter in metric.head.parameters())


def test_quantised_weights_are_told_apart(files):
    first, second = (create_metric(NAMES[1], checkpoint=files[NAMES[1]], precision="int8") for _ in range(2))
    assert origin_of([first], {}) == origin_of([second], {})
    weight = next(value for value in second.state_dict().values() if hasattr(value, "__tensor_flatten__"))
    with torch.no_grad():
        getattr(weight, weight.__tensor_flatten__()[0][0])[0, 0] += 1
    assert origin_of([first], {}) != origin_of([second], {})


def test_metrics_that_share_tensors_are_left_alone(files, images):
    plain = create_metric(NAMES[1], checkpoint=files[NAMES[1]])
    other = create_metric(NAMES[2], checkpoint=files[NAMES[2]])
    shared = {parameter.data_ptr() for parameter in plain.encoder.parameters()}
    assert shared & {parameter.data_ptr() for parameter in other.encoder.parameters()}
    before = [metric(images) for metric in (plain, other)]
    create_metric(NAMES[1], checkpoint=files[NAMES[1]], precision="int8").score(images)
    quantise(copy.deepcopy(other).encoder, "int8")
    assert all(torch.equal(metric(images), scores) for metric, scores in zip((plain, other), before, strict=True))
    again = create_metric(NAMES[1], checkpoint=files[NAMES[1]])
    assert torch.equal(again(images), before[0])


def test_metrics_of_both_precisions_make_a_suite(files, images):
    metrics = [
        create_metric(NAMES[1], checkpoint=files[NAMES[1]], precision="int8"),
        create_metric(NAMES[2], checkpoint=files[NAMES[2]]),
    ]
    scores = MetricSuite(metrics).score(images)
    for metric in metrics:
        torch.testing.assert_close(scores[metric.metric_name], metric.score(images))


def test_a_quantised_metric_is_pickled(files, images):
    metric = create_metric(NAMES[1], checkpoint=files[NAMES[1]], precision="int8")
    copied = pickle.loads(pickle.dumps(metric))
    assert torch.equal(copied.score(images), metric.score(images))
    assert torch.equal(copy.deepcopy(metric).score(images), metric.score(images))


def test_nobody_is_warned(files, images):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        create_metric(NAMES[1], checkpoint=files[NAMES[1]], precision="int8").score(images)
    assert [str(warning.message) for warning in caught] == []


# What cannot be quantised


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: build("clipiqa", precision="int8"), r"vision transformers, got one on a ClipResNet"),
        (lambda: create_metric("lite_iqa", precision="int8"), r"vision transformers, got one on a TimmStages"),
        (lambda: build(NAMES[1], precision="int8", dtype=torch.bfloat16), r"got torch.bfloat16 on 'cpu'"),
        (lambda: build(NAMES[1], precision="int4"), r"must be 'int8', got 'int4'. For bfloat16 or float16 pass dtype="),
        (lambda: quantise(build(NAMES[1]).to("meta").encoder, "int8"), r"on 'meta'"),
        (lambda: quantise(tiny_metric().encoder, "int8"), r"got one on a MeanColour"),
    ],
)
def test_what_cannot_be_quantised_is_refused(make, said):
    with pytest.raises(InvalidOptionError, match=said):
        make()


def test_without_torchao_the_extra_is_named(monkeypatch):
    for module in [name for name in sys.modules if name.partition(".")[0] == "torchao"]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "torchao", None)
    with pytest.raises(MissingExtraError, match=r"perceptmetrics\[int8\]") as caught:
        build(NAMES[1], precision="int8")
    assert caught.value.extra == "int8"


def test_torchao_is_asked_for_only_when_needed(monkeypatch, images):
    monkeypatch.setitem(sys.modules, "torchao", None)
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    assert build(NAMES[1])(images).isfinite().all()
    with pytest.raises(MissingExtraError):
        build(NAMES[1], precision="int8")


def test_a_layer_that_torchao_leaves_out_would_be_noticed(monkeypatch, files, images):
    """The comparison above can fail: without quantisation the scores are those of floats."""
    fake = SimpleNamespace(Int8DynamicActivationInt8WeightConfig=lambda: None, quantize_=lambda *_: None)
    monkeypatch.setitem(sys.modules, "torchao.quantization", fake)
    name = NAMES[1]
    plain, unquantised = (create_metric(name, checkpoint=files[name], precision=kind) for kind in (None, "int8"))
    assert torch.equal(plain(images), unquantised(images))


# Lower precision of floats


@pytest.mark.parametrize("name", [*NAMES, "clipiqa", "lite_iqa"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.3), (torch.float16, 0.05)])
def test_sixteen_bit_encoders_give_float32_scores_nearby(files, images, name, dtype, tolerance):
    options = {"checkpoint": files[name]} if name in files else {}
    make = create_metric if name in files else build
    plain, metric = make(name, **options), make(name, dtype=dtype, **options)
    assert {parameter.dtype for parameter in metric.encoder.parameters()} == {dtype}
    expected, scores = plain(images), metric(images)
    assert scores.dtype == torch.float32
    assert (scores - expected).abs().max() < tolerance * max(expected.std(dim=0).max().item(), 0.02)
    if name != "lite_iqa":
        assert not torch.equal(scores, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_encoders_of_one_precision_share_what_they_have_in_common(files, dtype):
    metrics = [create_metric(name, checkpoint=files[name], dtype=dtype) for name in NAMES[1:]]
    places = [{parameter.data_ptr() for parameter in metric.encoder.parameters()} for metric in metrics]
    assert len(places[0] & places[1]) > len(places[0]) / 2
