"""Splits: disjoint, complete, grouped, stratified, repeatable on every machine."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some

from perceptmetrics.datasets import LabelledImages, Scale, Split, make_splits
from perceptmetrics.errors import DatasetError, InvalidOptionError


def rated(count: int, groups: tuple[str, ...] | None = None) -> LabelledImages:
    return LabelledImages(
        name="made",
        task="quality",
        images=tuple(Path(f"{number}.png") for number in range(count)),
        names=tuple(f"{number:03}.png" for number in range(count)),
        labels=("quality",),
        ratings=np.linspace(0, 1, count)[:, None],
        scales=(Scale(lower=0, upper=1),),
        groups=groups,
    )


def classed(counts: tuple[int, ...], groups: tuple[str, ...] | None = None) -> LabelledImages:
    classes = np.repeat(np.arange(len(counts)), counts)
    labels = tuple(f"class {number}" for number in range(len(counts)))
    dataset = rated(len(classes), groups)
    return replace(dataset, task="emotion", labels=labels, ratings=None, scales=(), classes=classes)


def parts(split: Split) -> tuple[list[int], list[int], list[int]]:
    return split.train.tolist(), split.validation.tolist(), split.test.tolist()


def test_parts_are_disjoint_complete_ascending_and_of_the_stated_shares() -> None:
    for split in make_splits(rated(200)):
        train, validation, test = parts(split)
        assert sorted(train + validation + test) == list(range(200))
        assert [train, validation, test] == [sorted(part) for part in (train, validation, test)]
        assert [len(train), len(validation), len(test)] == [144, 16, 40]


@settings(deadline=None, max_examples=60)
@given(
    owners=some.lists(some.integers(0, 12), min_size=30, max_size=60),
    test=some.floats(0.1, 0.5),
    seed=some.integers(0, 2**40),
)
def test_a_group_is_never_parted(owners: list[int], test: float, seed: int) -> None:
    groups = tuple(map(str, owners))
    dataset = rated(len(owners), groups)
    assume(len(set(owners)) > 7)
    for split in make_splits(dataset, 3, seed=seed, test=test, validation=0.3):
        inside = [{groups[place] for place in part} for part in parts(split)]
        assert not inside[0] & inside[1]
        assert not inside[0] & inside[2]
        assert not inside[1] & inside[2]
        assert sorted(chain(*parts(split))) == list(range(len(owners)))


def test_of_equal_groups_the_share_is_exact() -> None:
    groups = tuple(f"I{number % 25:02}" for number in range(250))
    for split in make_splits(rated(250, groups)):
        assert [len(part) for part in parts(split)] == [180, 20, 50]


def test_split_k_depends_neither_on_the_count_nor_on_the_order_of_the_images() -> None:
    dataset = rated(80)
    ten, three = make_splits(dataset), make_splits(dataset, 3)
    assert [parts(split) for split in ten[:3]] == [parts(split) for split in three]
    order = np.random.default_rng(1).permutation(80)
    shuffled = replace(dataset, names=tuple(dataset.names[place] for place in order))
    for split, other in zip(ten, make_splits(shuffled), strict=True):
        names = [{dataset.names[place] for place in part} for part in parts(split)]
        assert names == [{shuffled.names[place] for place in part} for part in parts(other)]


def test_splits_and_seeds_differ() -> None:
    dataset = rated(80)
    tests = [tuple(split.test) for seed in (0, 1) for split in make_splits(dataset, seed=seed)]
    assert len(set(tests)) == len(tests)


def test_the_draw_is_the_same_on_every_machine() -> None:
    """The numbers come from PCG64's raw stream, as this snippet computes it without the code under test.

    keys = np.random.PCG64(np.random.SeedSequence((0, 0))).random_raw(10); np.argsort(keys)[:2]
    """
    keys = np.random.PCG64(np.random.SeedSequence((0, 0))).random_raw(10)
    (split,) = make_splits(rated(10), 1, validation=0)
    assert split.test.tolist() == sorted(np.argsort(keys)[:2].tolist()) == [2, 3]
    assert len(split.validation) == 0
    (split,) = make_splits(rated(10), 1, validation=0.25)
    rest = np.setdiff1d(np.arange(10), split.test)
    keys = np.random.PCG64(np.random.SeedSequence((0, 0, 1))).random_raw(8)
    assert split.validation.tolist() == sorted(rest[np.argsort(keys)[:2]].tolist())


def test_every_class_is_divided_in_the_same_shares() -> None:
    dataset = classed((50, 100, 200))
    assert dataset.classes is not None
    for split in make_splits(dataset, 4):
        assert np.bincount(dataset.classes[split.test]).tolist() == [10, 20, 40]
        assert np.bincount(dataset.classes[split.validation]).tolist() == [4, 8, 16]


def test_classes_with_groups_keep_both_promises() -> None:
    groups = tuple(f"g{number // 5}" for number in range(100))
    dataset = classed((50, 50), groups)
    assert dataset.classes is not None
    for split in make_splits(dataset, 4):
        assert np.bincount(dataset.classes[split.test]).tolist() == [10, 10]
        assert not {groups[place] for place in split.test} & {groups[place] for place in split.train}


def test_published_splits_come_first_and_get_a_validation_part_when_they_have_none() -> None:
    published = tuple(
        Split(train=np.arange(start, 40), validation=np.arange(0), test=np.arange(start)) for start in (5, 8)
    )
    dataset = replace(rated(40), official_splits=published)
    splits = make_splits(dataset)
    assert [split.test.tolist() for split in splits] == [split.test.tolist() for split in published]
    assert [len(split.validation) for split in splits] == [3, 3]
    assert all(sorted(chain(*parts(split))) == list(range(40)) for split in splits)
    assert len(make_splits(dataset, 1)) == 1
    assert [len(split.validation) for split in make_splits(dataset, validation=0)] == [0, 0]
    assert len(make_splits(dataset, official=False)) == 10


@pytest.mark.parametrize(
    "options", [{"count": 0}, {"test": 0.0}, {"test": 1.0}, {"validation": 1.0}, {"validation": -0.1}, {"seed": -1}]
)
def test_numbers_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InvalidOptionError, match=f"got .*{next(iter(options))}="):
        make_splits(rated(20), **options)  # type: ignore[arg-type]


def test_too_few_groups_are_told() -> None:
    with pytest.raises(DatasetError, match="made: 1 groups of images are too few"):
        make_splits(rated(20, ("one",) * 20))
