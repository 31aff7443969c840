"""The views of CLIP-UIQA, and what becomes of their scores."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptmetrics.functional.fragments import draw_fragment_offsets, fragments
from perceptmetrics.metrics.clip_uiqa import CLIP_UIQA
from perceptmetrics.models.views import Views
from perceptmetrics.spec import FragmentsView, SalientView, ViewsSpec
from tests.support.mean_colour_metric import tiny_metric

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
FRAGMENTS = FragmentsView(grid=12, cell=32)
SALIENT = SalientView(size=448)


def views(*parts, seed=0, **normalisation):
    return Views(ViewsSpec(views=parts, **(PLAIN | normalisation)), seed)


def image(height, width, seed=0):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_the_registered_metric_has_the_views_of_the_report():
    whole, salient, cells = CLIP_UIQA.views.views
    assert (whole.kind, salient, cells) == ("whole", SALIENT, FRAGMENTS)
    assert cells.grid * cells.cell == 384


@settings(deadline=None, max_examples=25)
@given(height=st.integers(32, 700), width=st.integers(32, 700))
def test_sizes_of_the_views(height, width):
    cells, middle = views(FRAGMENTS, SALIENT)(image(height, width))
    assert cells.shape == (1, 3, 384, 384)
    assert middle.shape == (1, 3, 448, 448)


@pytest.mark.parametrize("size", [(384, 384), (385, 511), (500, 700), (1001, 385)])
def test_fragments_consist_of_native_pixels(size):
    pixels = image(*size)
    (cells,) = views(FRAGMENTS)(pixels)
    assert torch.isin(cells, pixels).all()
    if size == (384, 384):
        assert torch.equal(cells, pixels)


@pytest.mark.parametrize("size", [(448, 448), (449, 700), (1000, 451)])
def test_the_middle_consists_of_native_pixels(size):
    pixels = image(*size)
    (middle,) = views(SALIENT)(pixels)
    top, left = round((size[0] - 448) / 2), round((size[1] - 448) / 2)
    assert torch.equal(middle, pixels[..., top : top + 448, left : left + 448])


def test_small_images_are_enlarged_first():
    pixels = image(100, 130)
    larger = torch.nn.functional.interpolate(pixels, size=(384, 499), mode="bilinear", align_corners=False)
    (cells,) = views(FRAGMENTS)(pixels)
    assert torch.equal(cells, fragments(larger, 32, draw_fragment_offsets(12, 0)))


def test_the_seed_decides_where_the_cells_lie():
    pixels = image(500, 600)
    first, again, other = (views(FRAGMENTS, seed=seed)(pixels)[0] for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_eight_bit_pixels_give_the_same_views():
    pixels = image(400, 450).mul(255).to(torch.uint8)
    for one, other in zip(
        views(FRAGMENTS, SALIENT)(pixels), views(FRAGMENTS, SALIENT)(pixels.float() / 255), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_the_views_are_normalised():
    plain, normalised = (views(FRAGMENTS, **n)(image(400, 450))[0] for n in ({}, {"mean": (0.1, 0.2, 0.3)}))
    torch.testing.assert_close(normalised, plain - torch.tensor((0.1, 0.2, 0.3))[:, None, None])


def test_views_are_differentiable():
    pixels = image(400, 450).requires_grad_()
    for view in views(FRAGMENTS, SALIENT)(pixels):
        pixels.grad = None
        view.sum().backward()
        assert pixels.grad is not None
        assert torch.isfinite(pixels.grad).all()
        assert pixels.grad.abs().sum() > 0


def test_the_scores_of_the_views_are_averaged():
    parts = (FragmentsView(grid=2, cell=3), SalientView(size=5))
    pictures = torch.cat([image(9, 12, seed) for seed in range(3)])
    both = tiny_metric(views=parts)(pictures)
    each = torch.stack([tiny_metric(views=(part,))(pictures) for part in parts])
    assert (each[0] - each[1]).abs().max() > 1e-4
    torch.testing.assert_close(both, each.mean(dim=0))


def test_a_batch_scores_as_its_images_do_alone():
    metric = tiny_metric(views=(FragmentsView(grid=2, cell=3),))
    pictures = torch.cat([image(9, 12, seed) for seed in range(3)])
    torch.testing.assert_close(metric(pictures), torch.cat([metric(picture[None]) for picture in pictures]))
