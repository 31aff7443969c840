"""The real data sets that lie beside the project."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import loadmat

from perceptmetrics.datasets import load_dataset, make_splits
from perceptmetrics.errors import DatasetError
from tests.support.rated_data import data_folder


def test_livec_without_its_bmp_files_has_627_images() -> None:
    root = data_folder("livec")
    with pytest.raises(DatasetError, match=r"livec: 535 of 1162 labelled images are missing: 100.bmp, 101.bmp"):
        load_dataset("livec", root)
    dataset = load_dataset("livec", root / "ChallengeDB_release", missing="skip")
    assert (len(dataset), len(dataset.missing)) == (627, 535)
    assert dataset.ratings is not None
    assert all(image.is_file() for image in dataset.images)
    assert not any(name.startswith("t") for name in dataset.names)
    data = root / "ChallengeDB_release" / "Data"
    names = [str(cell[0]) for cell in loadmat(str(data / "AllImages_release.mat"))["AllImages_release"].ravel()]
    mos = loadmat(str(data / "AllMOS_release.mat"))["AllMOS_release"].ravel()
    expected = [mos[names.index(name)] / 100 for name in dataset.names]
    assert dataset.ratings[:, 0] == pytest.approx(expected)
    for split in make_splits(dataset):
        assert [len(split.train), len(split.validation), len(split.test)] == [452, 50, 125]


def test_what_is_held_out_of_livec_is_held_out_of_its_ladders() -> None:
    root = data_folder("livec")
    rated = load_dataset("livec", root, missing="skip")
    ladders = load_dataset("livec_ladders", root, missing="skip", kinds=["over"])
    assert (len(ladders), len(ladders.missing)) == (627 * 6, 535)
    assert ladders.contents is not None
    splits = zip(make_splits(rated, validation=0), make_splits(ladders, validation=0), strict=True)
    for one, other in splits:
        assert {rated.names[place] for place in one.test} == {ladders.contents[place] for place in other.test}


def test_biq2021_keeps_near_duplicates_together() -> None:
    root = data_folder("biq2021")
    dataset = load_dataset("csv", root, group_column="group", split_column="split", lower=0, upper=1)
    assert (len(dataset), dataset.labels, dataset.task) == (2000, ("mos",), "quality")
    assert dataset.groups is not None
    groups = np.array(dataset.groups)
    for split in (*make_splits(dataset), *make_splits(dataset, official=False)):
        assert not set(groups[split.train]) & set(groups[split.test])
        assert not set(groups[split.train]) & set(groups[split.validation])


def test_oasis_has_three_ratings_on_1_to_7() -> None:
    root = data_folder("oasis")
    dataset = load_dataset("csv", root, group_column="theme", lower=1, upper=7)
    assert dataset.labels == ("valence_mean", "arousal_mean", "beauty_mean")
    assert dataset.ratings is not None
    assert dataset.ratings.shape == (452, 3)
    assert dataset.ratings[0] == pytest.approx((np.array([4.68627451, 2.346534653, 4.86]) - 1) / 6)


def test_savoias_is_read() -> None:
    dataset = load_dataset("csv", data_folder("savoias_scenes"), lower=0, upper=100, task="attribute")
    assert (len(dataset), dataset.labels, dataset.task) == (200, ("complexity",), "attribute")
