"""Every data set in its official layout: images, labels, direction, groups, published splits, missing files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from perceptmetrics.datasets import LabelledImages, list_datasets, load_dataset, make_splits
from perceptmetrics.errors import DatasetError
from tests.datasets.layouts import BUILDERS, Expected, ladders, livec, livec_ladders, sun


def load(made: Expected, **options: object) -> LabelledImages:
    return load_dataset(made.name, made.root, **(made.options or {}), **options)  # type: ignore[arg-type]


def test_every_data_set_has_a_layout(tmp_path: Path) -> None:
    built = {builder(tmp_path / builder.__name__).name for builder in BUILDERS}
    assert built == set(list_datasets())


def test_every_image_has_its_file_and_its_label(layout: Expected) -> None:
    dataset = load(layout)
    assert dataset.name == layout.name
    assert dataset.missing == ()
    assert set(dataset.names) == set(layout.shares)
    if layout.files is not None:
        assert dict(zip(dataset.names, dataset.images, strict=True)) == layout.files
    if dataset.ratings is None:
        assert dataset.classes is not None
        labels = [dataset.labels[number] for number in dataset.classes]
        assert dict(zip(dataset.names, labels, strict=True)) == layout.shares
    else:
        shares = [layout.shares[name] for name in dataset.names]
        assert dataset.ratings[:, 0] == pytest.approx(shares, abs=1e-5)
        restored = dataset.scales[0].restore(dataset.ratings[:, 0])
        better_is_higher = restored[np.argmax(shares)] > restored[np.argmin(shares)]
        assert better_is_higher == dataset.scales[0].higher_is_better


def test_groups_are_those_of_the_content(layout: Expected) -> None:
    dataset = load(layout)
    if layout.groups is None:
        assert dataset.groups is None
    else:
        assert dataset.groups is not None
        assert dict(zip(dataset.names, dataset.groups, strict=True)) == layout.groups


def test_published_splits_are_read(layout: Expected) -> None:
    dataset = load(layout)
    found = [
        tuple({dataset.names[place] for place in part} for part in (split.train, split.validation, split.test))
        for split in dataset.official_splits
    ]
    assert found == list(layout.splits)


def test_splits_are_disjoint_grouped_and_repeatable(layout: Expected) -> None:
    dataset = load(layout)
    splits, again = make_splits(dataset), make_splits(dataset)
    groups = np.array(dataset.inseparable or dataset.names)
    listed = set.union(*layout.splits[0]) if layout.splits else set(dataset.names)
    for split, other in zip(splits, again, strict=True):
        parts = [split.train, split.validation, split.test]
        assert all(
            np.array_equal(one, two)
            for one, two in zip(parts, (other.train, other.validation, other.test), strict=True)
        )
        assert all(len(part) for part in parts)
        together = np.concatenate(parts)
        assert len(set(together.tolist())) == len(together)
        assert sum(len(set(groups[part])) for part in parts) == len(set(groups[together]))
        if layout.name not in ("sun", "ladders"):  # whose splits are of varying images
            assert {dataset.names[place] for place in together} == listed


@pytest.mark.parametrize("builder", [builder for builder in BUILDERS if builder not in (sun, ladders, livec_ladders)])
def test_a_missing_file_is_an_error_or_left_out(builder: Callable[[Path], Expected], tmp_path: Path) -> None:
    changeable = builder(tmp_path)
    assert changeable.files is not None
    gone = sorted(changeable.files)[1]
    changeable.files[gone].unlink()
    with pytest.raises(DatasetError, match=rf"{changeable.name}: 1 of {len(changeable.shares)} labelled .*: {gone}\."):
        load(changeable)
    dataset = load(changeable, missing="skip")
    assert dataset.missing == (gone,)
    assert set(dataset.names) == set(changeable.shares) - {gone}
    found = [
        tuple({dataset.names[place] for place in part} for part in (split.train, split.validation, split.test))
        for split in dataset.official_splits
    ]
    assert found == [tuple(part - {gone} for part in split) for split in changeable.splits]
    if dataset.classes is not None:
        labels = [dataset.labels[number] for number in dataset.classes]
        assert labels == [changeable.shares[name] for name in dataset.names]
    elif dataset.ratings is not None:
        assert dataset.ratings[:, 0] == pytest.approx([changeable.shares[name] for name in dataset.names], abs=1e-5)


@pytest.mark.parametrize("damage", [b"", b"\x00\x01 neither table nor list", b"name,mos\n", b"[1, 2]\n"])
def test_a_corrupt_file_of_labels_is_an_error_that_names_it(changeable: Expected, damage: bytes) -> None:
    changeable.labels.write_bytes(damage)
    with pytest.raises(DatasetError, match=rf"{re.escape(changeable.labels.name)}|{changeable.labels.parent.name}"):
        load(changeable)


def test_another_folder_is_an_error_that_says_what_was_expected(layout: Expected, tmp_path: Path) -> None:
    (tmp_path / "something.txt").write_text("else")
    with pytest.raises(DatasetError, match=r"Expected .*(got something.txt|got none)"):
        load_dataset(layout.name, tmp_path)
    with pytest.raises(DatasetError, match="which is not a folder"):
        load_dataset(layout.name, tmp_path / "absent")


def test_nothing_but_labels_is_an_error_even_when_missing_files_are_to_be_skipped(changeable: Expected) -> None:
    for file in (changeable.files or {}).values():
        file.unlink()
    for file in changeable.root.rglob("target_images.mat"):
        file.unlink()
    with pytest.raises(DatasetError, match="images"):
        load(changeable, missing="skip")


@pytest.mark.parametrize("gone", [(), ("3.bmp", "8.JPG")])
def test_the_ladders_of_livec_are_split_as_livec_is(tmp_path: Path, gone: tuple[str, ...]) -> None:
    made = livec(tmp_path)
    assert made.files is not None
    for name in gone:
        made.files[name].unlink()
    rated = load_dataset("livec", tmp_path, missing="skip")
    ladders_of_it = load_dataset("livec_ladders", tmp_path, missing="skip", kinds=["over", "noise"])
    assert ladders_of_it.missing == rated.missing == gone
    assert ladders_of_it.contents is not None
    for one, other in zip(make_splits(rated), make_splits(ladders_of_it), strict=True):
        for part in ("train", "validation", "test"):
            images = {rated.names[place] for place in getattr(one, part)}
            assert images == {ladders_of_it.contents[place] for place in getattr(other, part)}
