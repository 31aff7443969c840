"""Where crops lie: torchvision's draws, and grids that cover the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perceptmetrics.functional.image import centre_crop, crops, grid_crop_offsets, random_crop_offsets, resize
from perceptmetrics.metrics.perceptclip import PERCEPTCLIP_IQA


@pytest.mark.parametrize(("side", "size", "start"), [(7, 4, 2), (5, 4, 0), (9, 4, 2), (8, 4, 2), (11, 4, 4)])
def test_an_odd_margin_is_split_as_torchvision_does(side, size, start):
    image = torch.arange(side).expand(1, 3, side, side)
    assert centre_crop(image, size)[0, 0, 0].tolist() == list(range(start, start + size))
    assert centre_crop(image.mT, size)[0, 0, :, 0].tolist() == list(range(start, start + size))


def test_more_crops_keep_the_first_ones():
    few, many = (random_crop_offsets((24, 14), count, seed=5) for count in (3, 9))
    assert many[:3] == few


@given(slack=st.tuples(st.integers(0, 9), st.integers(0, 9)), seed=st.integers(0, 999))
def test_crops_never_leave_the_image(slack, seed):
    for top, left in random_crop_offsets(slack, 4, seed) + grid_crop_offsets(slack, 4):
        assert 0 <= top <= slack[0]
        assert 0 <= left <= slack[1]


def test_every_place_is_drawn():
    drawn = set(random_crop_offsets((2, 3), 400, seed=0))
    assert drawn == {(top, left) for top in range(3) for left in range(4)}


# Grids

ROWS_AND_COLUMNS = {1: (1, 1), 2: (2, 1), 3: (3, 1), 4: (2, 2), 6: (3, 2), 7: (7, 1), 9: (3, 3), 12: (4, 3), 15: (5, 3)}


@pytest.mark.parametrize("count", ROWS_AND_COLUMNS)
def test_a_grid_over_the_published_size(count):
    offsets = grid_crop_offsets((288, 160), count)
    tops, lefts = (sorted({offset[axis] for offset in offsets}) for axis in (0, 1))
    assert len(offsets) == len(set(offsets)) == count
    assert (len(tops), len(lefts)) == ROWS_AND_COLUMNS[count]
    assert offsets == [(top, left) for top in tops for left in lefts]
    for places, slack in ((tops, 288), (lefts, 160)):
        assert places == [slack // 2] if len(places) == 1 else (places[0], places[-1]) == (0, slack)
        assert np.ptp(np.diff(places)) <= 1 if len(places) > 2 else True


def test_fifteen_crops_make_five_rows_of_three():
    tops, lefts = (0, 72, 144, 216, 288), (0, 80, 160)
    assert grid_crop_offsets((288, 160), 15) == [(top, left) for top in tops for left in lefts]


def test_a_wide_image_gets_columns():
    assert grid_crop_offsets((10, 100), 3) == [(5, 0), (5, 50), (5, 100)]
    assert grid_crop_offsets((0, 6), 3) == [(0, 0), (0, 3), (0, 6)]


@pytest.mark.parametrize("count", [4, 9, 15])
def test_a_grid_sees_the_corners_and_every_pixel(count):
    view = replace(PERCEPTCLIP_IQA.views.views[0], mode="grid", count=count)
    seen = torch.zeros(view.height, view.width)
    for top, left in grid_crop_offsets((view.height - view.size, view.width - view.size), count):
        seen[top : top + view.size, left : left + view.size] += 1
    corners = seen[0, 0], seen[0, -1], seen[-1, 0], seen[-1, -1]
    assert all(corner >= 1 for corner in corners)
    # Four squares of 224 do not reach over 512 rows.
    assert seen.min() >= (1 if count > 4 else 0)


def test_crops_of_an_image_stay_together():
    images = torch.arange(2 * 3 * 5 * 6).reshape(2, 3, 5, 6)
    cut = crops(images, [(0, 1), (2, 3)], 3)
    expected = [images[0, :, 0:3, 1:4], images[0, :, 2:5, 3:6], images[1, :, 0:3, 1:4], images[1, :, 2:5, 3:6]]
    assert torch.equal(cut, torch.stack(expected))


def test_resizing_to_a_single_column_keeps_the_rows_apart():
    column = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])[None, None, :, None].expand(1, 3, 6, 2)
    expected = resize(column, (3, 2))[..., :1]
    torch.testing.assert_close(resize(column, (3, 1)), expected)
