"""What is dealt out: each showing once an epoch, in proportion, repeatably."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from perceptmetrics.datasets import Split, make_splits
from perceptmetrics.errors import DatasetError
from perceptmetrics.finetune.data.batches import batch_count, batch_parts, epoch_batches, recipe_splits, training_units
from perceptmetrics.functional.loss import plcc_loss
from tests.finetune.observed import published_split
from tests.finetune.tiny import rated, tiny_recipe, write_pictures

SIZES = [(10,), (7, 31), (64, 5, 3)]


def single(sizes):
    return [training_units(np.arange(size) * 2 + 1, None) for size in sizes]


def deal(sizes=(7, 31), *, batch_size=8, replicas=2, seed=(0, 1), epoch=0):
    return epoch_batches(single(sizes), batch_size=batch_size, replicas=[replicas] * len(sizes), seed=seed, epoch=epoch)


def shown(batches):
    return [[[(draw.index, draw.seed) for draw in part] for part in batch.parts] for batch in batches]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 4, 8, 1000])
def test_each_image_is_shown_once_in_each_replica(sizes, replicas, batch_size):
    batches = deal(sizes, batch_size=batch_size, replicas=replicas)
    for number, size in enumerate(sizes):
        counts = Counter(draw.index for batch in batches for draw in batch.parts[number])
        assert counts == dict.fromkeys((np.arange(size) * 2 + 1).tolist(), replicas)


def test_data_sets_have_replicas_of_their_own():
    batches = epoch_batches(single((7, 31)), batch_size=11, replicas=[5, 1], seed=(0,), epoch=0)
    counts = [Counter(draw.index for batch in batches for draw in batch.parts[number]) for number in range(2)]
    assert [set(count.values()) for count in counts] == [{5}, {1}]
    assert len(batches) == 6  # of 5 * 7 + 31 samples


@pytest.mark.parametrize("sizes", SIZES)
def test_each_showing_has_a_seed_of_its_own(sizes):
    seeds = [
        (number, draw.seed)
        for epoch in range(3)
        for batch in deal(sizes, epoch=epoch)
        for number, part in enumerate(batch.parts)
        for draw in part
    ]
    assert len(set(seeds)) == len(seeds) == 3 * 2 * sum(sizes)
    assert len({seed for _, seed in seeds}) == len(seeds)


@pytest.mark.parametrize("sizes", SIZES)
def test_every_batch_is_composed_in_proportion(sizes):
    batches = deal(sizes, batch_size=12, replicas=4)
    for number, size in enumerate(sizes):
        share = 4 * size / len(batches)
        reached = np.cumsum([len(batch.parts[number]) for batch in batches])
        wanted = share * np.arange(1, len(batches) + 1)
        assert np.abs(reached - wanted).max() < 1  # at no time is a data set ahead or behind by a sample


def test_batches_are_of_nearly_equal_size_and_not_above_the_limit():
    sizes = [len(batch) for batch in deal((29,), batch_size=8, replicas=1)]
    assert max(sizes) <= 8
    assert max(sizes) - min(sizes) <= 1


def test_epochs_repeat_from_the_seed_and_differ_from_each_other():
    assert shown(deal()) == shown(deal())
    assert shown(deal()) != shown(deal(epoch=1))
    assert shown(deal()) != shown(deal(seed=(1, 1)))
    order = [[draw.index for batch in deal(epoch=epoch) for draw in batch.parts[1]] for epoch in (0, 1)]
    assert order[0] != order[1]


def test_groups_are_never_cut():
    groups = tuple(f"g{number % 9}" for number in range(50))
    units = training_units(np.arange(3, 50), groups)
    assert sorted(np.concatenate(units).tolist()) == list(range(3, 50))
    batches = epoch_batches([units], batch_size=12, replicas=[2], seed=(0,), epoch=0)
    assert len(batches) > 3
    for batch in batches:
        counts = Counter(draw.index for draw in batch.parts[0])
        for unit in units:
            assert len({counts[index] for index in unit.tolist()}) == 1  # all of it, as often as any of it
    assert sum(map(len, batches)) == 2 * 47


JOINT = (836, 7252, 8010)  # LIVE In the Wild, KonIQ-10k and SPAQ: images for training


def norms_of_gradients(fewest):
    """For each batch, the norm of the loss's gradient at the outputs for the small data set."""
    generator = torch.Generator().manual_seed(0)
    ratings = torch.rand(2 * max(JOINT), generator=generator)
    outputs = (ratings + 0.5 * torch.randn(ratings.shape, generator=generator)).requires_grad_()
    norms = []
    for batch in epoch_batches(single(JOINT), batch_size=32, replicas=[1] * 3, seed=(0,), epoch=0, fewest=fewest):
        indices = [draw.index for draw in batch.parts[0]]
        (gradient,) = torch.autograd.grad(plcc_loss(outputs[indices], ratings[indices]), outputs)
        norms.append(float(gradient.norm()))
    return norms


def test_a_small_data_set_beside_large_ones_has_a_gradient_in_every_batch():
    assert np.median(norms_of_gradients(None)) < 1e-4  # what the limit is for: one or two samples have none
    assert min(norms_of_gradients([8] * 3)) > 1e-2


@pytest.mark.parametrize("least", [2, 8, 16])
def test_batches_grow_until_every_data_set_has_enough(least):
    sizes = (40, 900, 300)
    batches = epoch_batches(single(sizes), batch_size=16, replicas=[2, 1, 1], seed=(0,), epoch=0, fewest=[least, 1, 3])
    assert all(len(batch.parts[0]) >= least for batch in batches)
    assert len(batches) == min(-(-1280 // 16), 80 // least)
    assert sum(map(len, batches)) == 1280


def test_batches_that_are_large_enough_do_not_grow():
    for fewest in (None, [8, 8]):
        assert batch_count([400, 800], 32, fewest or [1, 1]) == 38
    assert batch_count([3], 1, [8]) == 3  # a single data set has the batches that the recipe says


def test_data_sets_too_different_in_size_are_refused_with_advice():
    with pytest.raises(DatasetError, match=r"20, 20000 samples.*8 samples.*hold 10010.*replicas: 10"):
        batch_count([20, 20000], 32, [8, 8])
    assert batch_count([20, 20000], 32, [1, 1]) == 626  # losses of single samples need nothing


def recipe_of(tmp_path, *settings):
    return tiny_recipe(tmp_path, "data=[{name: many}, {name: few}]", *settings)


def split_of(count):
    return Split(train=np.arange(count), validation=np.arange(0), test=np.arange(0))


def rated_set(name):
    return SimpleNamespace(name=name, classes=None, ratings=np.zeros((1, 1)), ranks_within_groups=False, groups=None)


@pytest.mark.parametrize(
    ("settings", "sizes", "expected"),
    [
        (("loss=mse", "batch_size=10"), (40, 8), (5, {"many": (8, 8), "few": (1, 2)})),
        (("loss=plcc", "batch_size=10", "min_samples=4"), (40, 8), (2, {"many": (20, 20), "few": (4, 4)})),
        (("loss=plcc", "batch_size=10", "min_samples=3"), (41, 8), (2, {"many": (20, 21), "few": (4, 4)})),
        (
            ("loss=plcc", "batch_size=10", "min_samples=4", "augmentation={replicas: 2}"),
            (40, 8),
            (4, {"many": (20, 20), "few": (4, 4)}),
        ),
    ],
    ids=str,
)
def test_parts_of_a_batch_are_what_the_epoch_deals_out(settings, sizes, expected, tmp_path):
    recipe = recipe_of(tmp_path, *settings)
    sets = [rated_set("many"), rated_set("few")]
    assert batch_parts(recipe, sets, [split_of(size) for size in sizes]) == expected
    count, parts = expected
    fewest = 1 if recipe.loss == "mse" else recipe.optimizer.min_samples
    batches = epoch_batches(
        [training_units(np.arange(size), None) for size in sizes],
        batch_size=recipe.optimizer.batch_size,
        replicas=[recipe.augmentation.replicas] * 2,
        seed=(0,),
        epoch=0,
        fewest=[fewest] * 2,
    )
    assert len(batches) == count
    for number, (least, most) in enumerate(parts.values()):
        dealt = [len(batch.parts[number]) for batch in batches]
        assert (min(dealt), max(dealt)) == (least, most)


NOISE = (
    "few: a batch holds 7 samples; the loss compares them with each other, which is noisy below 8. Raise "
    "optimizer.batch_size."
)


def test_batch_in_which_nothing_can_be_compared_is_refused_and_a_small_one_warned_about(tmp_path, caplog):
    sets, splits = [rated_set("many"), rated_set("few")], [split_of(40), split_of(2)]
    with pytest.raises(
        DatasetError,
        match=r"^few: a batch holds 2 samples, but the loss compares samples with each other and needs 3 at least\. "
        r"Raise optimizer\.batch_size, or use the loss mse\.$",
    ):
        batch_parts(recipe_of(tmp_path, "loss=plcc", "min_samples=2", "batch_size=10"), sets, splits)
    assert not caplog.messages
    for few, warned in ((7, True), (8, False)):
        batch_parts(recipe_of(tmp_path, "loss=plcc", "min_samples=7"), sets, [split_of(40), split_of(few)])
        assert bool(caplog.messages) == warned
        assert all(one == NOISE for one in caplog.messages)
        caplog.clear()


def test_data_sets_that_differ_too_much_are_refused_with_what_to_do():
    with pytest.raises(
        DatasetError,
        match=r"^The data sets differ so much in size \(4000, 8 samples an epoch\) that a batch with 8 samples of the "
        r"smallest one would hold 4008\. Show its images more often \(data: \[\{name: \.\.\., augmentation: "
        r"\{replicas: 10\}\}\]\), raise optimizer\.batch_size, or lower optimizer\.min_samples\.$",
    ):
        batch_count([4000, 8], 10, [8, 8])
    assert batch_count([152, 8], 10, [8, 8]) == 1  # 16 times as large is allowed


def test_images_are_split_as_the_recipe_says(tmp_path):
    data = rated(write_pictures(tmp_path / "pictures", 20))
    for official in (True, False):
        stated = published_split(data)
        (first, *_) = recipe_splits(tiny_recipe(tmp_path, f"splits={{official: {str(official).lower()}}}"), stated)
        assert np.array_equal(first.test, stated.official_splits[0].test) == official
    settings = ("splits={count: 2, test: 0.3, validation: 0.25, official: false}", "seed=4")
    found = recipe_splits(tiny_recipe(tmp_path, *settings), data)
    expected = make_splits(data, 2, seed=4, test=0.3, validation=0.25, official=False)
    for one, other in zip(found, expected, strict=True):
        for part in ("train", "validation", "test"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
