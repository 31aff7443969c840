"""Metrics tuned from one CLIP share what LoRA left alone, and none can change another."""

from __future__ import annotations

import copy
import gc
import pickle

import pytest
import torch

from perceptmetrics import create_metric
from perceptmetrics.models import shared_tensors as sharing
from perceptmetrics.weights.cache import CACHE_VARIABLE
from tests.support import released_files
from tests.support.photographs import photographs
from tests.support.released_files import NAMES, write_released

pytestmark = pytest.mark.usefixtures("tiny_metrics", "cache")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    return {name: write_released(folder / f"{name}.pth", name) for name in NAMES}


@pytest.fixture(scope="module")
def images():
    return photographs(240, 300)[:2]


@pytest.fixture
def metrics(files):
    return [create_metric(name, checkpoint=path) for name, path in files.items()]


def shared_names(one, other):
    places = dict(other.encoder.named_parameters())
    return {name for name, tensor in one.encoder.named_parameters() if tensor.data_ptr() == places[name].data_ptr()}


def own_names(metric):
    """The projections that LoRA changes."""
    names = {name for name, _ in metric.encoder.named_parameters() if name.endswith("attn.in_proj.weight")}
    assert len(names) == released_files.LAYERS
    return names


def all_names(metric):
    return {name for name, _ in metric.encoder.named_parameters()}


def state_of(metric):
    return {name: tensor.clone() for name, tensor in metric.state_dict().items()}


def equal(one, other):
    return one.dtype == other.dtype and torch.equal(one, other)


# What is shared


def test_everything_but_the_tuned_projections_is_shared(metrics):
    first, *others = metrics
    for other in others:
        assert shared_names(first, other) == all_names(first) - own_names(first)


def test_shared_metrics_score_as_they_would_alone(metrics, files, images, monkeypatch, tmp_path):
    together = [metric(images) for metric in metrics]
    metrics.clear()
    for number, (path, name) in enumerate(zip(files.values(), NAMES, strict=True)):
        monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / f"cache {number}"))
        gc.collect()
        assert not sharing._pool
        assert torch.equal(create_metric(name, checkpoint=path)(images), together[number])


def test_the_same_metric_twice_shares_as_much(files):
    path = files["perceptclip_mem"]
    first, second = (create_metric("perceptclip_mem", checkpoint=path) for _ in range(2))
    assert shared_names(first, second) == all_names(first) - own_names(first)


def test_another_clip_is_not_shared(metrics, tmp_path):
    path = write_released(tmp_path / "other.pth", "perceptclip_mem", base_seed=1)
    assert not shared_names(metrics[0], create_metric("perceptclip_mem", checkpoint=path))


def test_each_precision_is_shared_by_itself(files):
    options = {"float32": None, "bfloat16": torch.bfloat16}
    pairs = {
        precision: [create_metric(name, checkpoint=files[name], dtype=dtype) for name in NAMES[:2]]
        for precision, dtype in options.items()
    }
    for first, second in pairs.values():
        assert shared_names(first, second) == all_names(first) - own_names(first)
    assert not shared_names(pairs["float32"][0], pairs["bfloat16"][0])


def test_the_pool_is_empty_when_all_metrics_are_gone(metrics):
    assert sharing._pool
    del metrics[:2]
    gc.collect()
    assert sharing._pool
    metrics.clear()
    gc.collect()
    assert not sharing._pool


def test_moved_metrics_keep_nothing_in_the_pool(metrics):
    for metric in metrics:
        metric.double()
    gc.collect()
    assert not sharing._pool


# What one does, the others do not notice


def to_float64(metric):
    metric.to(torch.float64)


def to_bfloat16(metric):
    metric.to(torch.bfloat16)


def double_the_encoder(metric):
    metric.encoder.double()


def load_noise(metric):
    metric.load_state_dict({name: torch.randn_like(tensor) for name, tensor in metric.state_dict().items()})


def load_noise_into_the_encoder(metric):
    state = metric.encoder.state_dict()
    metric.encoder.load_state_dict({name: torch.randn_like(tensor) for name, tensor in state.items()})


def assign_noise(metric):
    noise = {name: torch.randn_like(tensor) for name, tensor in metric.state_dict().items()}
    metric.load_state_dict(noise, assign=True)


def train_every_weight(metric):

    metric.requires_grad_()
    optimiser = torch.optim.SGD(metric.parameters(), lr=1.0)
    metric(photographs(240, 300)[:1]).square().sum().backward()
    optimiser.step()


CHANGES = [
    to_float64,
    to_bfloat16,
    double_the_encoder,
    load_noise,
    load_noise_into_the_encoder,
    assign_noise,
    train_every_weight,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_one_leaves_the_others_alone(metrics, images, change):
    changed, *others = metrics
    before = [metric(images) for metric in others]
    states = [state_of(metric) for metric in others]
    was = state_of(changed)
    change(changed)
    assert not shared_names(changed, others[0])
    assert not any(equal(tensor, was[name]) for name, tensor in changed.encoder.state_dict(prefix="encoder.").items())
    for metric, scores, state in zip(others, before, states, strict=True):
        assert torch.equal(metric(images), scores)
        assert all(torch.equal(tensor, state[name]) for name, tensor in metric.state_dict().items())


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_metric_is_not_what_the_next_one_gets(files, images, change):
    name = "perceptclip_mem"
    changed = create_metric(name, checkpoint=files[name])
    expected = changed(images)
    change(changed)
    again = create_metric(name, checkpoint=files[name])
    assert torch.equal(again(images), expected)


def test_moving_nowhere_keeps_sharing(metrics):
    first, second, _ = metrics
    first.to("cpu").float()
    assert shared_names(first, second) == all_names(first) - own_names(first)
    load_noise(first)  # still knows what it has to separate
    assert not shared_names(first, second)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda metric: pickle.loads(pickle.dumps(metric))])
def test_copies_stand_alone(metrics, images, copied):
    original = metrics[0]
    expected = original(images)
    clone = copied(original)
    assert torch.equal(clone(images), expected)
    assert not shared_names(clone, original)
    assert len(clone.encoder.shared) == 0  # which would be stored a second time
    load_noise(clone)
    assert torch.equal(original(images), expected)


def test_a_metric_made_in_inference_mode_spoils_no_gradient(files, images):
    with torch.inference_mode():
        first = create_metric("perceptclip_mem", checkpoint=files["perceptclip_mem"])
    second = create_metric("perceptclip_iqa", checkpoint=files["perceptclip_iqa"], crops=1)
    for metric in (first, second):
        pixels = images.clone().requires_grad_()
        metric(pixels).sum().backward()
        assert pixels.grad.abs().sum() > 0


def test_what_is_unfrozen_trains_alone(metrics, files, images):
    trained, *others = metrics
    before = [other(images) for other in others]
    trained.requires_grad_(True)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(1.0)
    assert all(equal(other(images), score) for other, score in zip(others, before, strict=True))
    name = others[0].metric_name
    assert equal(create_metric(name, checkpoint=files[name])(images), before[0])


def test_what_was_changed_in_place_leaves_the_pool(metrics, files, images):
    name = metrics[0].metric_name
    before = metrics[0](images)
    with torch.no_grad():
        for metric in metrics:
            for parameter in metric.encoder.parameters():
                parameter.add_(1.0)
    assert equal(create_metric(name, checkpoint=files[name])(images), before)
