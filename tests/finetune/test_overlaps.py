"""Images that are for training in one data set and for test in another are found, whatever they are called."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptmetrics.datasets import LabelledImages, Split, load_dataset, make_splits
from perceptmetrics.finetune.data.checks import find_overlaps
from tests.finetune.tiny import rated, write_pictures


def cut(train: list[int], test: list[int]) -> Split:
    return Split(train=np.array(train), validation=np.array([], dtype=int), test=np.array(test))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("shared"), 10)


@pytest.fixture
def one(folder: Path) -> LabelledImages:
    return rated(folder)


def test_the_first_split_that_shares_images_is_named_with_them(one: LabelledImages) -> None:
    other = replace(one, name="other", names=tuple(f"again/{name}" for name in one.names))
    of_one = [cut([0, 1], [2, 3]), cut([0, 1, 2], [3])]
    of_other = [cut([0, 1], [2, 3]), cut([4, 5], [1, 2, 6])]
    (found,) = find_overlaps([one, other], [of_one, of_other])
    assert (found.trained, found.tested, found.split) == (one.name, "other", 1)
    assert found.names == ("again/001.png", "again/002.png")


def test_both_directions_are_looked_at(one: LabelledImages) -> None:
    other = replace(one, name="other")
    found = find_overlaps([one, other], [[cut([0], [1])], [cut([1], [0])]])
    assert [(overlap.trained, overlap.tested) for overlap in found] == [(one.name, "other"), ("other", one.name)]


def test_a_degraded_photograph_counts_as_its_photograph(folder: Path, one: LabelledImages) -> None:
    ladders = load_dataset("ladders", folder, kinds=["blur"], showings=["whole"], protocols=[])
    (found,) = find_overlaps([one, ladders], [[cut([3], [0])], [cut([6], [6 * 3, 6 * 3 + 1])]])
    assert (found.trained, found.tested) == (one.name, "ladders")
    assert found.names == tuple(ladders.names[18:20])


def test_a_linked_folder_is_the_same_folder(tmp_path: Path, folder: Path, one: LabelledImages) -> None:
    (tmp_path / "linked").symlink_to(folder, target_is_directory=True)
    linked = replace(one, name="linked", images=tuple(tmp_path / "linked" / name for name in one.names))
    (found,) = find_overlaps([one, linked], [[cut([3], [0])], [cut([6], [3])]])
    assert (found.tested, found.names) == ("linked", (one.names[3],))


def test_copies_in_another_folder_are_the_same_images(tmp_path: Path, one: LabelledImages) -> None:
    copied = rated(Path(shutil.copytree(Path(str(one.images[0])).parent, tmp_path / "copy")))
    found = find_overlaps([one, replace(copied, name="copy")], [[cut([0], [1])], [cut([2], [0])]])
    assert [(overlap.trained, overlap.tested, overlap.names) for overlap in found] == [(one.name, "copy", ("000.png",))]


def test_twins_within_a_data_set_are_counted_in_each_split(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "twins", 8)
    Image.open(folder / "000.png").convert("RGB").resize((48, 48)).save(folder / "004.png", "JPEG", quality=60)
    (folder / "005.png").write_bytes((folder / "001.png").read_bytes())
    twins = rated(folder)
    (found,) = find_overlaps([twins], [[cut([0, 2], [3]), cut([4, 5], [0, 1, 2]), cut([0], [4])]])
    assert (found.trained, found.tested, found.split, found.splits, found.of) == ("csv", "csv", 1, 2, 3)
    assert (found.names, found.twins) == (("000.png", "001.png"), ("004.png", "005.png"))
    assert "2 of the 3 test images of csv show the same picture" in str(found)
    assert "(split 2: 000.png = 004.png, 001.png = 005.png); so in 2 splits" in str(found)


def test_equal_splits_share_nothing(one: LabelledImages) -> None:
    both = [one, replace(one, name="other")]
    assert find_overlaps(both, [make_splits(dataset) for dataset in both]) == ()
    assert find_overlaps([one], [[cut([0], [0])]]) == ()
