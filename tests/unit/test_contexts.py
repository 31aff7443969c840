"""Metrics under the contexts and transformations of PyTorch, and errors for what they cannot be or take."""

from __future__ import annotations

import math

import pytest
import torch

from perceptmetrics import MetricSuite, PerceptualLoss, create_metric
from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from tests.losses.restoration import NAMES, made_loss, pictures
from tests.support.mean_colour_metric import tiny_metric

every_kind = pytest.mark.parametrize("name", NAMES)


@every_kind
def test_a_loss_that_is_made_under_another_default_device_has_its_weights(name):
    expected = made_loss(name)(pictures())
    with torch.device("meta"):
        loss = made_loss(name)
        inside = loss(pictures())
    assert torch.equal(loss(pictures()), expected)
    assert torch.equal(inside, expected)


@every_kind
@pytest.mark.filterwarnings("ignore:There is a performance drop because we have not yet implemented the batching rule")
def test_gradients_of_single_images_by_transformations(name):
    loss, images = made_loss(name, loss_reduction="sum"), pictures()
    pixels = images.clone().requires_grad_()
    loss(pixels).backward()
    gradient = torch.func.grad(lambda image: loss(image[None]))
    torch.testing.assert_close(torch.func.vmap(gradient)(images), pixels.grad, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(gradient(images[0]), pixels.grad[0], rtol=1e-3, atol=1e-6)
    each = torch.func.vmap(lambda image: loss.metric(image[None])[0])(images)
    torch.testing.assert_close(each, loss.metric(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.int8, "float16", torch.complex64, torch.float8_e4m3fn, 16])
def test_a_precision_that_is_none(dtype):
    with pytest.raises(InvalidOptionError, match=r"dtype must be one of torch.float32, .*, got "):
        create_metric("lite_iqa", dtype=dtype)


@pytest.mark.parametrize("device", ["tpu", "gpu", 3.5, "cuda:99", ""])
def test_a_device_that_is_none(device):
    with pytest.raises(InvalidOptionError, match=r"cannot be put on the device .*Pass device=") as raised:
        create_metric("lite_iqa", device=device)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("seed", ["a", 2**70, 1.5, None, True, -(2**64)])
def test_a_seed_that_is_none(seed):
    with pytest.raises(InvalidOptionError, match=r"seed must be an integer of 64 bits, such as 0, got "):
        create_metric("lite_iqa", seed=seed)


IMAGES = torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))
ODD = [
    (IMAGES.to(torch.float8_e4m3fn), r"got torch.float8_e4m3fn. Convert it first: x\.float\(\)"),
    (IMAGES.to(torch.complex64), r"got torch.complex64. Convert it first: x\.real"),
    (IMAGES.to_sparse(), r"dense tensor, got one with the layout torch.sparse_coo. Use x\.to_dense\(\)"),
    (IMAGES.to("meta"), r"on the device 'meta'"),
    (torch.nested.nested_tensor([IMAGES[0], IMAGES[1]], layout=torch.jagged), r"nested one. Pass a list of tensors"),
]


@pytest.mark.parametrize("way", [lambda metric: metric, lambda metric: metric.score, PerceptualLoss], ids=range(3))
@pytest.mark.parametrize(("images", "message"), ODD, ids=[message[:25] for _, message in ODD])
def test_tensors_that_are_no_images(way, images, message):
    with pytest.raises(InvalidImageError, match=message):
        way(tiny_metric())(images)


def test_a_metric_without_weights_says_so():
    metric = tiny_metric().to("meta")
    with pytest.raises(InvalidImageError, match="metric on 'meta'"):
        metric(IMAGES)
    with pytest.raises(InvalidOptionError, match=r"has no weights. Make it again"):
        metric.score(IMAGES)
    for move in (lambda: metric.to("cpu"), lambda: metric.to_empty(device="cpu")):
        with pytest.raises(InvalidOptionError, match="no weights that could be moved elsewhere"):
            move()
    assert metric(IMAGES.to("meta")).shape == (2,)


BAD = {"NaN": math.nan, "infinite": math.inf, "divide by 255": 255.0, r"\(x \+ 1\) / 2": -1.0}


@pytest.mark.parametrize("message", BAD)
@pytest.mark.parametrize(
    "made", [tiny_metric, lambda: PerceptualLoss(tiny_metric()), lambda: MetricSuite([tiny_metric()])]
)
def test_values_are_checked_when_that_is_asked_for(made, message):
    judge, images = made(), IMAGES.clone()
    judge(images, validate=True)
    images[0, 0, 0, 0] = BAD[message]
    judge(images)
    with pytest.raises(InvalidImageError, match=message):
        judge(images, validate=True)
    if not isinstance(judge, PerceptualLoss):
        with pytest.raises(InvalidImageError, match=f"Image 1: .*{message}"):
            judge([images[1], images[0]], validate=True)
