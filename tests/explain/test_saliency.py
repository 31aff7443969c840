"""Saliency: a gradient of the score itself, times the pixels."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from perceptmetrics import saliency_map
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.models.encoders import Encoder
from perceptmetrics.spec import CentreCropView
from tests.explain.cases import metric_and_reference
from tests.support.mean_colour_metric import tiny_metric
from tests.support.registered_metrics import build


def image(height=40, width=60, seed=0):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


class OfOneRegion(Encoder):
    """Sees the pixels of one rectangle only."""

    feature_size, min_size = 4, 2

    def __init__(self, rows, columns):
        super().__init__()
        self.rows, self.columns, self.linear = rows, columns, nn.Linear(3, 4)

    def encode(self, pixels):
        return self.linear((pixels[..., self.rows, self.columns] ** 2).mean(dim=(-2, -1)))


@pytest.mark.parametrize("name", ["perceptclip_iqa", "perceptclip_emo", "clip_uiqa"])
def test_it_is_the_gradient_of_the_score_times_the_pixels(name):
    metric, *_ = metric_and_reference(name)
    pixels = image().requires_grad_()
    scores = metric(pixels)[0].reshape(-1)
    scores.max().backward()
    found = saliency_map(metric, pixels.detach(), method="gradient_x_input")
    torch.testing.assert_close(found.values, (pixels.grad * pixels.detach()).sum(0), rtol=1e-3, atol=1e-8)
    assert found.values.abs().amax() > 1e-6
    assert found.label == (metric.labels[int(scores.argmax())] if metric.labels else "")
    assert found.score == pytest.approx(scores.max().item(), abs=1e-6)


def test_smoothgrad_is_the_mean_gradient_of_seeded_noisy_copies():
    metric, *_ = metric_and_reference("perceptclip_mem")
    pixels = image()
    found = saliency_map(metric, pixels, samples=3, noise=0.2, seed=5)
    generator, total = torch.Generator().manual_seed(5), torch.zeros_like(pixels)
    for _ in range(3):
        noise = torch.randn(pixels.shape, generator=generator)
        copy = (pixels + 0.2 * (pixels.max() - pixels.min()) * noise).requires_grad_()
        metric(copy)[0].backward()
        total += copy.grad
    torch.testing.assert_close(found.values, (total / 3 * pixels).sum(0), rtol=1e-3, atol=1e-8)
    again = saliency_map(metric, pixels, samples=3, noise=0.2, seed=5)
    assert torch.equal(again.values, found.values)
    assert not torch.equal(saliency_map(metric, pixels, samples=3, noise=0.2, seed=6).values, found.values)


def test_it_is_what_the_score_loses_when_a_pixel_darkens():
    metric = tiny_metric().double()
    pixels = image(6, 8)
    found = saliency_map(metric, pixels, method="gradient_x_input")
    step = 1e-3
    for row, column in ((0, 0), (3, 5), (5, 7)):
        darker = pixels.clone()
        darker[:, row, column] *= 1 - step
        lost = (metric(pixels.double()[None]) - metric(darker.double()[None])) / step
        assert float(found.values[row, column]) == pytest.approx(float(lost), rel=0.02)


@pytest.mark.parametrize("method", ["gradient_x_input", "smoothgrad"])
def test_it_is_where_the_score_comes_from(method):
    metric = tiny_metric()
    metric.encoder = OfOneRegion(slice(5, 15), slice(30, 50)).requires_grad_(False)
    values = saliency_map(metric, image(), method=method).values.abs()
    inside, outside = values[5:15, 30:50], values.clone()
    outside[5:15, 30:50] = 0
    assert not outside.any()
    assert (inside > 0).float().mean() > 0.99


def test_what_a_view_cuts_away_does_not_matter():
    metric = tiny_metric(views=(CentreCropView(size=40),))
    values = saliency_map(metric, image(40, 100), method="gradient_x_input").values
    assert (values[:, :30] == 0).all()
    assert (values[:, 70:] == 0).all()
    assert (values[:, 30:70] != 0).all()


def test_a_label_chooses_the_score():
    metric, *_ = metric_and_reference("perceptclip_emo")
    maps = {label: saliency_map(metric, image(), method="gradient_x_input", label=label) for label in metric.labels}
    total = sum(found.values for found in maps.values())
    assert total.abs().amax() < 1e-2 * max(found.values.abs().amax() for found in maps.values())  # shares of 1
    with pytest.raises(InvalidOptionError, match="no score 'anger!'"):
        saliency_map(metric, image(), label="anger!")
    with pytest.raises(InvalidOptionError, match="has a single score"):
        saliency_map(tiny_metric(), image(), label="anger")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"method": "magic"}, "method must be one of"), ({"samples": 0}, "samples must be"), ({"noise": -1}, "noise at")],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InvalidOptionError, match=message):
        saliency_map(tiny_metric(), image(), **options)


def test_quantised_metrics_have_no_gradient():
    with pytest.raises(InvalidOptionError, match="without precision='int8'"):
        saliency_map(build("perceptclip_mem", precision="int8"), image())
