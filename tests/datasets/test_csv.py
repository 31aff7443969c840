"""`csv`: options, scales, classes, splits of a column."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from perceptmetrics.datasets import Scale, load_dataset, make_splits
from perceptmetrics.errors import DatasetError, InvalidOptionError
from tests.datasets.layouts import picture, table

ROWS = [
    ["file", "mos", "noise", "mood", "scene", "part"],
    ["a.png", 1, 30, "joy", 1, "train"],
    ["b.png", 2, "", "fear", 1, "train"],
    ["c.png", 3, 10, "joy", 2, "val"],
    ["d.png", 4, 20, "fear", 3, "test"],
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    table(tmp_path / "labels.csv", ROWS)
    for number, row in enumerate(ROWS[1:]):
        picture(tmp_path / "any" / "depth" / str(row[0]), number)
    return tmp_path


def test_several_columns_are_several_labels_each_with_its_scale(root: Path) -> None:
    dataset = load_dataset("csv", root, columns=["mos", "noise"], lower=[1, 0], upper=[5, 100])
    assert (dataset.labels, dataset.task) == (("mos", "noise"), "attribute")
    assert dataset.scales == (Scale(lower=1, upper=5), Scale(lower=0, upper=100))
    assert dataset.ratings == pytest.approx(np.array([[0, 0.3], [0.25, np.nan], [0.5, 0.1], [0.75, 0.2]]), nan_ok=True)


def test_a_column_of_groups_is_no_rating(root: Path) -> None:
    dataset = load_dataset("csv", root, group_column="scene", lower=0, upper=100)
    assert dataset.labels == ("mos", "noise")
    assert dataset.groups == ("1", "1", "2", "3")


def test_without_ends_the_ratings_own_stand_in_and_a_warning_says_so(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        dataset = load_dataset("csv", root, columns="mos", lower_is_better=True)
    assert dataset.scales == (Scale(lower=1, upper=4, higher_is_better=False),)
    assert dataset.ratings is not None
    assert dataset.ratings[:, 0].tolist() == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert "'mos': lower and upper are not given, so the lowest and highest rating (1, 4)" in caplog.text
    caplog.clear()
    load_dataset("csv", root, columns="mos", lower=1, upper=5)
    assert not caplog.records


def test_classes(root: Path) -> None:
    dataset = load_dataset("csv", root, class_column="mood", positive_labels=["joy"])
    assert (dataset.labels, dataset.task, dataset.positive_labels) == (("fear", "joy"), "emotion", ("joy",))
    assert dataset.classes is not None
    assert dataset.classes.tolist() == [1, 0, 1, 0]
    assert dataset.ratings is None


def test_a_column_of_parts_is_the_published_split(root: Path) -> None:
    dataset = load_dataset("csv", root, columns="mos", lower=1, upper=5, split_column="part")
    (split,) = make_splits(dataset)
    assert [part.tolist() for part in (split.train, split.validation, split.test)] == [[0, 1], [2], [3]]


def test_the_only_table_is_found_whatever_it_is_called(root: Path) -> None:
    (root / "labels.csv").rename(root / "scores.csv")
    assert len(load_dataset("csv", root, columns="mos", lower=1, upper=5)) == 4
    table(root / "more.csv", [["file", "q"], ["a.png", 1], ["b.png", 2]])
    with pytest.raises(DatasetError, match=r"Expected labels.csv or a single CSV in .*, got more.csv, scores.csv"):
        load_dataset("csv", root)
    assert load_dataset("csv", root, table="more.csv", lower=1, upper=2).labels == ("q",)


def test_missing_images_are_named(root: Path) -> None:
    (root / "any" / "depth" / "b.png").unlink()
    with pytest.raises(DatasetError, match=r"csv: 1 of 4 labelled images are missing: b.png"):
        load_dataset("csv", root, columns="mos")
    assert load_dataset("csv", root, columns="mos", missing="skip").missing == ("b.png",)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"columns": ["moss"]}, DatasetError, "no column 'moss'. Did you mean 'mos'"),
        ({"columns": ["mood"]}, DatasetError, "expected numbers in the column 'mood', got 'joy'"),
        ({"image_column": "fil"}, DatasetError, "no column 'fil'. Did you mean 'file'"),
        ({"group_column": "scenes"}, DatasetError, "no column 'scenes'. Did you mean 'scene'"),
        ({"split_column": "mood"}, DatasetError, "expected train, validation or test in the column 'mood', got 'joy'"),
        ({"class_column": "noise"}, DatasetError, "'b.png' has no class in the column 'noise'"),
        ({"class_column": "mood", "lower": 1}, InvalidOptionError, "excludes columns, lower"),
        (
            {"class_column": "mood", "positive_labels": ["joi"]},
            InvalidOptionError,
            "no class 'joi'. Did you mean 'joy'",
        ),
        ({"positive_labels": ["joy"]}, InvalidOptionError, "needs class_column"),
        ({"columns": ["mos"], "lower": [1, 2]}, InvalidOptionError, "one number for each of the columns mos"),
        ({"columns": ["mos"], "upper": "5"}, InvalidOptionError, "upper must be a number"),
        ({"columns": ["mos"], "lower": 5, "upper": 1}, DatasetError, "below its upper end, got 5 and 1"),
        ({"task": "qualty"}, InvalidOptionError, "got 'qualty'. Did you mean 'quality'"),
        ({"lower_is_better": "yes"}, InvalidOptionError, "lower_is_better must be True or False, got 'yes'"),
        ({"colums": ["mos"]}, InvalidOptionError, "csv has no option 'colums'. Did you mean 'columns'"),
        ({"missing": "skp"}, InvalidOptionError, "missing must be 'error' or 'skip', got 'skp'"),
    ],
)
def test_what_is_typed_wrong_is_told_with_what_is_near(
    root: Path, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_dataset("csv", root, **options)  # type: ignore[arg-type]


def test_an_image_in_two_rows_is_refused(root: Path) -> None:
    table(root / "labels.csv", [*ROWS, ["a.png", 5, 1, "joy", 1, "train"]])
    with pytest.raises(DatasetError, match=r"rates 'a.png' in more than one row"):
        load_dataset("csv", root)
