"""Batches hold images of one size, within the limits, each exactly once, in bounded memory."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.images.batch import WAITING_BATCHES, Windows, batches_by_size, window_size

SIZES = st.tuples(st.integers(1, 6), st.integers(1, 6), st.sampled_from([torch.uint8, torch.float32]))


def stream(sizes):
    """Images that carry their place in their pixels."""
    for place, (height, width, dtype) in enumerate(sizes):
        yield place, torch.full((3, height, width), place % 256 if dtype == torch.uint8 else place / 255, dtype=dtype)


@settings(deadline=None)
@given(sizes=st.lists(SIZES, max_size=60), batch_size=st.integers(1, 5), max_pixels=st.integers(1, 80))
def test_every_image_is_in_one_batch_of_its_size_within_the_limits(sizes, batch_size, max_pixels):
    seen = []
    for batch in batches_by_size(stream(sizes), batch_size=batch_size, max_pixels=max_pixels):
        count, channels, height, width = batch.images.shape
        assert (count, channels) == (len(batch.indices), 3)
        assert {sizes[place] for place in batch.indices} == {(height, width, batch.images.dtype)}
        assert count <= batch_size
        assert count == 1 or count * height * width <= max_pixels
        assert batch.indices == sorted(batch.indices)
        for place, image in zip(batch.indices, batch.images, strict=True):
            assert torch.equal(image, dict(stream(sizes))[place]), "pixels come out as they went in"
        seen += batch.indices
    assert sorted(seen) == list(range(len(sizes)))


@settings(deadline=None)
@given(count=st.integers(1, 30), batch_size=st.integers(1, 7))
def test_images_of_one_size_fill_their_batches(count, batch_size):
    sizes = [(2, 3, torch.uint8)] * count
    lengths = [len(batch.indices) for batch in batches_by_size(stream(sizes), batch_size=batch_size)]
    full, rest = divmod(count, batch_size)
    assert lengths == [batch_size] * full + [rest] * (rest > 0)


def test_the_budget_of_pixels_is_used_to_the_full():
    sizes = [(2, 5, torch.uint8)] * 6
    assert [len(batch.indices) for batch in batches_by_size(stream(sizes), batch_size=9, max_pixels=30)] == [3, 3]


def test_an_image_above_the_budget_goes_alone_at_once():
    images = stream([(1, 2, torch.uint8), (9, 9, torch.uint8), (1, 2, torch.uint8)])
    batches = batches_by_size(images, batch_size=4, max_pixels=10)
    assert next(batches).indices == [1]
    assert next(batches).indices == [0, 2]


class Tracked:
    """An endless stream that counts what has been taken from it."""

    def __init__(self, sizes):
        self.taken = 0
        self.area = 0
        self.sizes = iter(sizes)

    def __iter__(self):
        for height, width in self.sizes:
            yield self.taken, torch.empty((3, height, width), dtype=torch.uint8)
            self.taken += 1
            self.area += height * width


def test_waiting_images_stay_within_their_budget_on_an_endless_stream_of_sizes():
    sizes = ((10 + index % 7, 1 + index) for index in itertools.count())
    images, max_pixels = Tracked(sizes), 2000
    released = 0
    for batch in itertools.islice(batches_by_size(images, batch_size=8, max_pixels=max_pixels), 500):
        released += batch.images[:, 0].numel()
        newest = 17 * (images.taken + 1)  # the stream is not counted on until it is asked again
        assert images.area - released <= WAITING_BATCHES * max_pixels + newest


def test_few_large_batches_do_not_hold_back_a_small_budget():
    sizes = ((1, 1 + index % 50) for index in itertools.count())
    images = Tracked(sizes)
    batches = batches_by_size(images, batch_size=10_000, max_pixels=10_000)
    next(batches)
    assert images.area <= WAITING_BATCHES * 10_000 + 50


@settings(deadline=None, max_examples=20)
@given(
    sizes=st.lists(SIZES, min_size=1, max_size=200),
    batch_size=st.integers(1, 4),
    max_pixels=st.integers(1, 80),
    windows=st.integers(0, 3),
)
def test_batches_are_those_of_each_window_by_itself(sizes, batch_size, max_pixels, windows):
    """So a run that begins with any window makes the same batches as one that came by it."""
    limits = {"batch_size": batch_size, "max_pixels": max_pixels}
    start = windows * window_size(batch_size)
    whole = [batch.indices for batch in batches_by_size(stream(sizes), **limits)]
    later = [batch.indices for batch in batches_by_size(stream(sizes[start:]), **limits)]
    assert [places for places in whole if places[0] >= start] == [[start + place for place in one] for one in later]


def test_a_rare_size_waits_until_the_end_of_its_window():
    images = Tracked(itertools.chain([(1, 1)], itertools.repeat((2, 2))))
    for batch in batches_by_size(images, batch_size=4):
        if 0 in batch.indices:
            break
        assert max(batch.indices) < window_size(4)
    assert images.taken <= window_size(4)


@pytest.mark.parametrize(
    ("containers", "numbers"),
    [
        ([None] * 20, [0] * 8 + [1] * 8 + [2] * 4),
        ([None] * 3 + ["a.tar"] * 10 + ["b.tar"] * 2 + [None], [0] * 3 + [1] * 8 + [2] * 2 + [3] * 2 + [4]),
    ],
)
def test_windows_end_when_full_and_where_another_container_begins(containers, numbers):
    windows = Windows(batch_size=1)
    found = []
    for container in containers:
        began = windows.begins(container)
        assert began == (bool(found) and windows.number > found[-1])
        found.append(windows.number)
    assert found == numbers


def test_batches_fill_again_after_images_were_let_go():
    many = [(1, 1 + width) for width in range(200)]
    few = [(2, 2), (3, 3)] * 40
    images = Tracked(itertools.chain(many, few))
    lengths = [len(batch.indices) for batch in batches_by_size(images, batch_size=4, max_pixels=100)]
    assert lengths.count(4) == 20


def test_nothing_is_read_before_it_is_asked_for():
    images = Tracked(itertools.repeat((2, 2)))
    batches = batches_by_size(images, batch_size=3)
    assert images.taken == 0
    next(batches)
    assert images.taken < 3
    next(batches)
    assert images.taken < 6


def test_an_empty_stream_gives_no_batch():
    assert list(batches_by_size([])) == []


@pytest.mark.parametrize("limits", [{"batch_size": 0}, {"batch_size": -1}, {"max_pixels": 0}, {"max_pixels": -5}])
def test_limits_below_one_are_refused(limits):
    with pytest.raises(InvalidOptionError, match=r"batch_size and max_pixels must be at least 1, got"):
        list(batches_by_size([], **limits))
