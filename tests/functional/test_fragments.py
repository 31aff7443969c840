"""Fragments, the middle and enlarging: where every pixel comes from."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptmetrics.functional.image import centre_crop, draw_fragment_offsets, enlarge_to, fragments

GRID, CELL = 3, 4
SIDE = GRID * CELL
SIDES = st.integers(SIDE, 50)


def numbered(height: int, width: int) -> torch.Tensor:
    """An image whose pixels say where they are: channels of row and column."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([rows, columns]).double()[None]


def by_cell(image: torch.Tensor, grid: int = GRID, cell: int = CELL) -> torch.Tensor:
    """Shape (grid, grid, 2, cell, cell)."""
    return image[0].unflatten(1, (grid, cell)).unflatten(3, (grid, cell)).permute(1, 3, 0, 2, 4)


@settings(deadline=None)
@given(height=SIDES, width=SIDES, seed=st.integers(0, 999))
def test_each_cell_is_a_square_of_neighbours_from_its_own_field(height: int, width: int, seed: int) -> None:
    cut = fragments(numbered(height, width), CELL, draw_fragment_offsets(GRID, seed))
    assert cut.shape == (1, 2, SIDE, SIDE)
    cells = by_cell(cut)
    for row in range(GRID):
        for column in range(GRID):
            down, right = cells[row, column]
            assert torch.equal(down - down[0, 0], numbered(CELL, CELL)[0, 0])
            assert torch.equal(right - right[0, 0], numbered(CELL, CELL)[0, 1])
            for length, field, places in ((height, row, down), (width, column, right)):
                assert field * length // GRID <= places.min()
                assert places.max() < (field + 1) * length // GRID


def test_the_ends_of_a_field_are_reached_and_nothing_beyond() -> None:
    image = numbered(31, 44)
    first = by_cell(fragments(image, CELL, torch.zeros(2, GRID, GRID)))
    last = by_cell(fragments(image, CELL, torch.full((2, GRID, GRID), 1 - 2**-24)))
    assert first[:, :, 0, 0, 0].tolist() == [[row] * 3 for row in (0, 10, 20)]
    assert first[:, :, 1, 0, 0].tolist() == [[0, 14, 29]] * 3
    assert last[:, :, 0, -1, -1].tolist() == [[row] * 3 for row in (9, 19, 30)]
    assert last[:, :, 1, -1, -1].tolist() == [[13, 28, 43]] * 3


@pytest.mark.parametrize("axis", [0, 1])
def test_a_place_moves_its_own_cell_and_no_other(axis: int) -> None:
    image, places = numbered(30, 42), torch.zeros(2, GRID, GRID)
    before = by_cell(fragments(image, CELL, places))
    places[axis, 0, 2] = 0.5
    moved = (by_cell(fragments(image, CELL, places)) - before)[..., 0, 0]
    expected = torch.zeros(GRID, GRID, 2, dtype=torch.float64)
    expected[0, 2, axis] = {0: 3, 1: 5}[axis]  # half of the 7 or 11 places
    assert torch.equal(moved, expected)


def test_every_place_of_a_field_is_drawn_about_as_often() -> None:
    places = torch.cat([draw_fragment_offsets(12, seed) for seed in range(40)])
    assert places.min() >= 0
    assert places.max() < 1
    counts = torch.histc(places, bins=8, min=0, max=1)
    assert counts.min() > 0.9 * counts.mean()


def test_the_smallest_image_is_taken_whole() -> None:
    image = numbered(SIDE, SIDE)
    assert torch.equal(fragments(image, CELL, draw_fragment_offsets(GRID, 5)), image)


@settings(deadline=None)
@given(seed=st.integers(0, 999), other=st.integers(0, 999))
def test_places_follow_from_the_seed_alone(seed: int, other: int) -> None:
    torch.manual_seed(other)  # whatever else is drawn
    assert torch.equal(draw_fragment_offsets(GRID, seed), draw_fragment_offsets(GRID, seed))
    assert torch.equal(draw_fragment_offsets(GRID, seed), draw_fragment_offsets(GRID, other)) is (seed == other)


def test_places_depend_neither_on_content_nor_on_the_batch() -> None:
    places = draw_fragment_offsets(GRID, 0)
    batch = torch.cat([numbered(20, 30), 7 - 2 * numbered(20, 30), torch.zeros(1, 2, 20, 30)])
    together = fragments(batch, CELL, places)
    assert torch.equal(together, torch.cat([fragments(image[None], CELL, places) for image in batch]))
    assert torch.equal(together[1], 7 - 2 * together[0])


def test_gradients_of_fragments_reach_the_pixels_that_are_seen() -> None:
    image = torch.rand(1, 1, 14, 17, dtype=torch.float64, requires_grad=True)
    places = draw_fragment_offsets(GRID, 0)
    torch.autograd.gradcheck(lambda x: fragments(x, CELL, places), image)
    fragments(image, CELL, places).sum().backward()
    assert image.grad is not None
    assert set(image.grad.unique().tolist()) == {0.0, 1.0}
    assert image.grad.sum() == SIDE * SIDE


@settings(deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), side=st.integers(1, 50))
def test_enlarging_brings_the_short_side_to_the_limit_and_never_shrinks(height: int, width: int, side: int) -> None:
    image = torch.rand(1, 1, height, width)
    enlarged = enlarge_to(image, side)
    if min(height, width) >= side:
        assert enlarged is image
        return
    new_height, new_width = enlarged.shape[-2:]
    assert min(new_height, new_width) == side
    short = min(height, width)  # the scale is side / short; whole numbers have no rounding of their own
    assert 2 * abs(new_height * short - height * side) <= short
    assert 2 * abs(new_width * short - width * side) <= short


@pytest.mark.parametrize("side", [3, 9])
def test_gradients_of_enlarging(side: int) -> None:
    torch.autograd.gradcheck(
        lambda x: enlarge_to(x, side), torch.rand(1, 2, 4, 6, dtype=torch.float64).requires_grad_()
    )


@pytest.mark.parametrize(("height", "width"), [(12, 12), (13, 12), (15, 20), (14, 17)])
def test_the_middle_has_equal_margins(height: int, width: int) -> None:
    cut = centre_crop(numbered(height, width), SIDE)
    for length, places in ((height, cut[0, 0]), (width, cut[0, 1])):
        assert abs((length - 1 - places.max()) - places.min()) <= 1
    assert cut.shape[-2:] == (SIDE, SIDE)
