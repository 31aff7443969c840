"""Windows say where a view's pixels come from: cut out there, the image shows the same pixels."""

from __future__ import annotations

import pytest
import torch

from perceptmetrics.models.views import Views
from perceptmetrics.spec import (
    CentreCropView,
    CropsView,
    FragmentsView,
    PatchesView,
    SalientView,
    ScaledView,
    SquareView,
    ViewsSpec,
    WholeView,
)

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
HEIGHT, WIDTH = 48, 72
CUTS = {  # of an image that is not resized on the way: whatever they show are its own pixels
    "whole": (WholeView(), 1),
    "middle of its height": (CentreCropView(size=HEIGHT), 1),
    "middle": (SalientView(size=20), 1),
    "random crops": (CropsView(height=HEIGHT, width=WIDTH, size=16, count=5), 5),
    "grid of crops": (CropsView(height=HEIGHT, width=WIDTH, size=16, count=4, mode="grid"), 4),
    "fragments": (FragmentsView(grid=3, cell=8), 1),
    "patches": (PatchesView(size=16, stride=16), 12),
    "patches up to the lower edge": (PatchesView(size=15, stride=11, most=9), 9),
    "patches that would end one pixel too low": (PatchesView(size=16, stride=11), 18),
    "patches that would end one pixel too far right": (PatchesView(size=16, stride=19), 6),
}


def shown_and_windows(view, height=HEIGHT, width=WIDTH, seed=2):
    views = Views(ViewsSpec(views=(view,), **PLAIN), seed)
    image = torch.rand(1, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (shown,), (windows,) = views(image), views.windows(height, width)
    assert len(shown) == len(windows)
    return image[0], shown, windows


@pytest.mark.parametrize("kind", CUTS)
def test_pixels_of_a_view_are_those_of_its_windows(kind):
    view, count = CUTS[kind]
    image, shown, windows = shown_and_windows(view)
    assert len(windows) == count
    for pixels, parts in zip(shown, windows, strict=True):
        assert all(0 <= part.in_image.top <= 1 - part.in_image.height + 1e-9 for part in parts)
        assert sum(part.in_view.height * part.in_view.width for part in parts) == pixels[0].numel()
        for (top, left, height, width), inside in parts:
            from_top, from_left = round(inside.top * HEIGHT, 9), round(inside.left * WIDTH, 9)
            assert (inside.height * HEIGHT, inside.width * WIDTH) == pytest.approx((height, width))
            assert from_top == int(from_top)
            assert from_left == int(from_left)
            source = image[:, int(from_top) : int(from_top) + height, int(from_left) : int(from_left) + width]
            assert pixels[:, top : top + height, left : left + width].equal(source)


@pytest.mark.parametrize("size", [(40, 90), (90, 40), (7, 21)])
def test_windows_of_an_image_that_is_resized_are_fractions_of_it(size):
    height, width = size
    (((in_view, inside),),) = shown_and_windows(CentreCropView(size=10), height, width)[2]
    short = min(size)
    assert in_view == (0, 0, 10, 10)
    assert (inside.height, inside.width) == pytest.approx((short / height, short / width), rel=0.1)
    assert (inside.top, inside.left) == pytest.approx(((1 - inside.height) / 2, (1 - inside.width) / 2), abs=0.05)
    for view, side in (
        (SquareView(size=12), (12, 12)),
        (ScaledView(divisor=3), (max(1, height // 3), max(1, width // 3))),
    ):
        _, (shown,), (((in_view, inside),),) = shown_and_windows(view, height, width)
        assert in_view == (0, 0, *side)
        assert shown.shape[-2:] == side
        assert inside == (0, 0, 1, 1)
    (((in_view, inside),),) = shown_and_windows(WholeView(max_long_side=20), height, width)[2]
    assert inside == (0, 0, 1, 1)
    assert max(in_view.height, in_view.width) == 20
    assert (in_view.top, in_view.left) == (0, 0)
    (((in_view, inside),),) = shown_and_windows(SalientView(size=30), height, width)[2]
    assert in_view == (0, 0, 30, 30)
    scale = max(1, 30 / short)
    assert inside.height == pytest.approx(30 / (height * scale), rel=0.02)
    assert inside.width == pytest.approx(30 / (width * scale), rel=0.02)


def test_views_are_named_by_their_kind_and_numbered_where_there_are_several():
    assert WholeView().names(1) == ["whole image"]
    assert CentreCropView(size=8).names(1) == ["middle"]
    assert CropsView(height=8, width=8, size=4, count=3).names(3) == ["crop 1", "crop 2", "crop 3"]
    assert CropsView(height=8, width=8, size=4, count=1).names(1) == ["crop 1"]
    assert PatchesView(size=8, stride=8).names(2) == ["patch 1", "patch 2"]


def test_fragments_of_a_small_image_come_from_the_enlarged_one():
    """7 x 21 pixels become 24 x 72, whose 3 x 3 fields of 8 x 24 have cells of 8 x 8."""
    _, (shown,), (parts,) = shown_and_windows(FragmentsView(grid=3, cell=8), 7, 21)
    assert shown.shape == (3, 24, 24)
    assert {(part.in_image.height, part.in_image.width) for part in parts} == {(8 / 24, 8 / 72)}
    assert [part.in_image.top for part in parts] == pytest.approx([0] * 3 + [1 / 3] * 3 + [2 / 3] * 3)
    for number, part in enumerate(parts):
        field = number % 3 / 3
        assert field - 1e-9 <= part.in_image.left <= field + (24 - 8) / 72 + 1e-9


def test_views_know_the_seed_that_they_were_drawn_from():
    for view in (CropsView(height=9, width=9, size=4, count=2), FragmentsView(grid=2, cell=4), WholeView()):
        spec = ViewsSpec(views=(view,), **PLAIN)
        views = Views(spec, 5)
        assert (views.spec, views.seed) == (spec, 5)
        assert [made.seed for made in views.views] == [5]
