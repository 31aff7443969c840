"""Batches hold images of one size, within the limits, each exactly once, in bounded memory."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptmetrics.batching import MAX_OVERTAKEN, WAITING_BATCHES, batches_by_size
from perceptmetrics.errors import InvalidOptionError

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
        assert (count, channels) == (len(batch.places), 3)
        assert {sizes[place] for place in batch.places} == {(height, width, batch.images.dtype)}
        assert count <= batch_size
        assert count == 1 or count * height * width <= max_pixels
        assert batch.places == sorted(batch.places)
        for place, image in zip(batch.places, batch.images, strict=True):
            assert torch.equal(image, dict(stream(sizes))[place]), "pixels come out as they went in"
        seen += batch.places
    assert sorted(seen) == list(range(len(sizes)))


@settings(deadline=None)
@given(count=st.integers(1, 30), batch_size=st.integers(1, 7))
def test_images_of_one_size_fill_their_batches(count, batch_size):
    sizes = [(2, 3, torch.uint8)] * count
    lengths = [len(batch.places) for batch in batches_by_size(stream(sizes), batch_size=batch_size)]
    full, rest = divmod(count, batch_size)
    assert lengths == [batch_size] * full + [rest] * (rest > 0)


def test_the_budget_of_pixels_is_used_to_the_full():
    sizes = [(2, 5, torch.uint8)] * 6
    assert [len(batch.places) for batch in batches_by_size(stream(sizes), batch_size=9, max_pixels=30)] == [3, 3]


def test_an_image_above_the_budget_goes_alone_at_once():
    images = stream([(1, 2, torch.uint8), (9, 9, torch.uint8), (1, 2, torch.uint8)])
    batches = batches_by_size(images, batch_size=4, max_pixels=10)
    assert next(batches).places == [1]
    assert next(batches).places == [0, 2]


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


def test_an_image_is_overtaken_by_a_bounded_number():
    odd_one_out = itertools.chain([(1, 1)], itertools.repeat((2, 2)))
    images = Tracked(odd_one_out)
    for batch in batches_by_size(images, batch_size=4):
        if 0 in batch.places:
            break
        assert max(batch.places) <= MAX_OVERTAKEN
    assert images.taken <= MAX_OVERTAKEN + 1


@settings(deadline=None, max_examples=10)
@given(sizes=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=9), seed=st.integers(0, 9))
def test_no_batch_waits_longer_than_the_bound(sizes, seed):
    choice = torch.randint(len(sizes), (3000,), generator=torch.Generator().manual_seed(seed)).tolist()
    images = Tracked(sizes[index] for index in choice)
    for batch in batches_by_size(images, batch_size=400):
        assert images.taken - batch.places[0] <= MAX_OVERTAKEN + 1


def test_the_oldest_images_are_let_go_first_and_the_others_go_on_waiting():
    sizes = itertools.chain([(1, 1)], itertools.repeat((2, 2), 499), [(3, 3)], itertools.repeat((2, 2)))
    images = Tracked(sizes)
    released = {}
    for batch in batches_by_size(images, batch_size=4):
        released.update(dict.fromkeys(batch.places, images.taken))
        if 500 in released:
            break
    assert released[0] == MAX_OVERTAKEN
    assert released[500] == 500 + MAX_OVERTAKEN


def test_batches_fill_again_after_images_were_let_go():
    many = [(1, 1 + width) for width in range(200)]
    few = [(2, 2), (3, 3)] * 40
    images = Tracked(itertools.chain(many, few))
    lengths = [len(batch.places) for batch in batches_by_size(images, batch_size=4, max_pixels=100)]
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
