"""Attention maps: rows equal to a softmax written out, laid where the views look."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.explain import Head, attention_maps, headed_encoder
from perceptmetrics.explain.canvas import ViewValues, compose
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.models.views import Rectangle, Views, Window
from perceptmetrics.spec import CentreCropView, CropsView, FragmentsView, SalientView, WholeView
from tests.explain.cases import CLIP_CASES, TIMM_CASES, metric_and_reference
from tests.support.registered_metrics import build

VIEWS = {
    "whole": WholeView(),
    "whole, shrunk": WholeView(max_long_side=96),
    "middle": CentreCropView(size=64),
    "middle of native size": SalientView(size=64),
    "middle of an enlarged image": SalientView(size=160),
    "crops": CropsView(height=128, width=96, size=64, count=6),
    "crops of a grid": CropsView(height=96, width=160, size=64, count=6, mode="grid"),
    "fragments": FragmentsView(grid=4, cell=16),
    "fragments of an enlarged image": FragmentsView(grid=4, cell=48),
}
SIZE = (120, 181)
PATCH = 16


def views_of(view):
    """Views that leave colours as they are."""
    return Views(replace(LITE_IQA.views, views=(view,), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))


def coordinates(height, width):
    """An image whose colours say where they are, as shares of its height and width."""
    rows, columns = ((torch.arange(length) + 0.5) / length for length in (height, width))
    return torch.stack([*torch.meshgrid(rows, columns, indexing="ij"), torch.zeros(height, width)])


@pytest.mark.parametrize("name", CLIP_CASES + TIMM_CASES)
def test_rows_are_a_softmax_of_queries_and_keys(name):
    metric, reference, attentions = metric_and_reference(name)
    encoder = headed_encoder(metric)
    pixels = metric.views(torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)))[-1]
    rows = encoder.attention(pixels, encoder.all_heads())
    reference(pixels)
    expected = torch.cat([attention.rows for attention in attentions], dim=1)
    torch.testing.assert_close(rows, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(rows.sum(-1), torch.ones(rows.shape[:2]))
    assert rows.shape[-1] == encoder.prefix + torch.tensor(encoder.grid(*pixels.shape[-2:])).prod()
    assert rows.amax() > 3 / rows.shape[-1]


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_windows_are_where_views_look(view):
    views = views_of(view)
    (group,) = views(coordinates(*SIZE)[None])
    (windows,) = views.windows(*SIZE)
    assert len(windows) == len(group)
    for pixels, shown in zip(group, windows, strict=True):
        covered = torch.zeros(pixels.shape[-2:])
        for in_view, in_image in shown:
            top, left, height, width = map(int, in_view)
            covered[top : top + height, left : left + width] += 1
            seen = pixels[:, top : top + height, left : left + width]
            for axis, start, extent, count in (
                (0, in_image.top, in_image.height, height),
                (1, in_image.left, in_image.width, width),
            ):
                expected = start + (torch.arange(count) + 0.5) / count * extent
                found = seen[axis].mean(dim=1 - axis)
                torch.testing.assert_close(found, expected, rtol=0, atol=1.5 / SIZE[axis])
        assert (covered == 1).all()


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_what_a_patch_holds_is_laid_over_its_place(view):
    views = views_of(view)
    (group,) = views(coordinates(*SIZE)[None])
    (windows,) = views.windows(*SIZE)
    size = group.shape[-2:]
    grid = (size[0] // PATCH, size[1] // PATCH)
    for number in range(0, grid[0] * grid[1], 5):
        row, column = divmod(number, grid[1])
        values = torch.zeros(grid)
        values[row, column] = 1.0
        patch = group[0, :2, row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
        found = compose([ViewValues(values, (grid[0] * PATCH, grid[1] * PATCH), windows[0])], SIZE).nan_to_num(nan=-1.0)
        bright = (found > 0.7).nonzero().float()
        for axis in (0, 1):
            low, high = patch[axis].amin() * SIZE[axis] - 1.5, patch[axis].amax() * SIZE[axis] + 1.5
            assert len(bright)
            assert (bright[:, axis] >= low).all()
            assert (bright[:, axis] <= high).all()


def test_where_views_overlap_is_their_mean_and_where_none_looks_is_nothing():
    def half(left, value):
        window = Window(Rectangle(0, 0, 10, 10), Rectangle(0, left, 1, 0.5))
        return ViewValues(torch.full((1, 1), value), (10, 10), (window,))

    values = compose([half(0.0, 1.0), half(0.25, 3.0)], (4, 8))
    torch.testing.assert_close(values[0, :6], torch.tensor([1.0, 1.0, 2.0, 2.0, 3.0, 3.0]))
    assert values[:, 6:].isnan().all()


def test_what_no_patch_covers_is_left_out():
    window = Window(Rectangle(0, 0, 20, 10), Rectangle(0, 0, 1, 1))
    values = compose([ViewValues(torch.ones(1, 1), (16, 10), (window,))], (20, 10))
    assert values[:16].isfinite().all()
    assert values[16:].isnan().all()


@pytest.mark.parametrize("name", ["perceptclip_iqa", "clip_uiqa", "clipiqa", "registers"])
def test_a_map_holds_what_its_row_holds(name):
    metric, *_ = metric_and_reference(name)
    image = torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(0))
    heads = [Head(1, 1), Head(0, 0)]
    own = attention_maps(metric, image, heads, max_side=64)
    assert [found.head for found in own] == heads
    for found in own:
        assert found.values.shape == (48, 64)
        assert 0 <= found.off_image < 1
        assert 0.3 < float(found.values.nanmean()) < 2  # about uniform on average
        assert not torch.equal(found.values.nan_to_num(), own[0].values.nan_to_num()) or found is own[0]


def test_another_encoder_may_be_looked_into():
    metric, *_ = metric_and_reference("perceptclip_mem")
    other, *_ = metric_and_reference("perceptclip_mem")
    other.encoder.visual.transformer.resblocks[0].attn.in_proj.weight.data.mul_(2)
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    (through,) = attention_maps(metric, image, [Head(0, 0)], encoder=other.encoder)
    (direct,) = attention_maps(other, image, [Head(0, 0)])
    (own,) = attention_maps(metric, image, [Head(0, 0)])
    torch.testing.assert_close(through.values, direct.values)
    assert (through.values - own.values).abs().amax() > 0.01


def test_a_resnet_has_the_map_of_its_pool():
    metric = build("clipiqa")
    found = attention_maps(metric, torch.rand(3, 96, 128), [Head(0, 3)])
    assert found[0].values.shape == (96, 128)
    assert found[0].values.isfinite().all()
    with pytest.raises(InvalidOptionError, match=r"no head 1\.0"):
        attention_maps(metric, torch.rand(3, 96, 128), [Head(1, 0)])
