"""`csv` with the ratings of several people: rows or columns of raters, what is pooled, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perceptmetrics.datasets import LabelledImages, check_dataset, load_dataset, make_splits
from perceptmetrics.errors import DatasetError, InvalidOptionError
from tests.datasets.layouts import picture, table

LONG = [
    ["image", "rater", "mos", "noise", "mood", "scene"],
    ["a.png", "anna", 1, 10, "joy", "x"],
    ["b.png", "anna", 4, "", "fear", "y"],
    ["a.png", "ben", 3, 20, "joy", "x"],
    ["b.png", "ben", 5, 30, "fear", "y"],
    ["a.png", "carl", 2, 30, "fear", "x"],
    ["c.png", "carl", 5, 40, "joy", "y"],
]
SCALE = {"lower": 1, "upper": 5}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate("abc"):
        picture(tmp_path / f"{name}.png", number)
    table(tmp_path / "labels.csv", LONG)
    return tmp_path


def load(root: Path, **options: object) -> LabelledImages:
    return load_dataset("csv", root, **{"columns": "mos", "rater_column": "rater", **SCALE, **options})


def rewrite(root: Path, rows: list[list[object]]) -> None:
    table(root / "labels.csv", rows)


def test_rows_of_raters_become_means_with_counts_and_errors(root: Path) -> None:
    dataset = load(root)
    assert dataset.names == ("a.png", "b.png", "c.png")
    assert dataset.ratings is not None
    assert dataset.ratings[:, 0].tolist() == pytest.approx([0.25, 0.875, 1])
    (pooled,) = dataset.pooled
    assert (pooled.label, pooled.answers, pooled.raters, pooled.counts.tolist()) == ("mos", 6, 3, [3, 2, 1])
    common = (2 + 0.5 + 0) / (2 + 1)  # sum of squares within images over the degrees of freedom
    variances = [(4 * common + 2) / 6, (4 * common + 0.5) / 5, common]
    assert pooled.errors is not None
    assert pooled.errors.tolist() == pytest.approx([np.sqrt(v / n) for v, n in zip(variances, (3, 2, 1), strict=True)])


def test_a_missing_answer_to_one_question_leaves_the_others(root: Path) -> None:
    dataset = load(root, columns=["mos", "noise"], lower=[1, 0], upper=[5, 100])
    assert dataset.ratings is not None
    assert dataset.ratings[:, 1].tolist() == pytest.approx([0.2, 0.3, 0.4])
    assert [one.counts.tolist() for one in dataset.pooled] == [[3, 2, 1], [3, 1, 1]]


def test_columns_of_raters_are_the_same_as_rows(root: Path) -> None:
    by_rows = load(root)
    rewrite(
        root,
        [
            ["image", "rater_anna", "rater_ben", "rater_carl", "year"],
            ["a.png", 1, 3, 2, 2020],
            ["b.png", 4, 5, "", 2021],
            ["c.png", "", "", 5, 2022],
        ],
    )
    wide = load_dataset("csv", root, rater_columns="rater_*", label="mos", **SCALE)
    assert wide.ratings is not None
    assert wide.ratings == pytest.approx(by_rows.ratings)
    assert (wide.labels, wide.pooled[0].sentence) == (("mos",), by_rows.pooled[0].sentence)
    named = load_dataset("csv", root, rater_columns=["rater_anna", "rater_ben"], missing="skip", **SCALE)
    assert named.pooled[0].raters == 2


def test_classes_are_those_with_the_most_votes(root: Path) -> None:
    dataset = load_dataset("csv", root, class_column="mood", rater_column="rater", positive_labels="joy")
    assert dataset.classes is not None
    assert [dataset.labels[index] for index in dataset.classes] == ["joy", "fear", "joy"]
    assert (dataset.pooled[0].method, dataset.pooled[0].counts.tolist()) == ("majority", [3, 2, 1])
    assert "majority of 6 votes by 3 raters" in dataset.pooled[0].sentence


def test_tied_votes_are_refused_or_left_out(root: Path) -> None:
    rewrite(root, [*LONG, ["c.png", "anna", 3, 3, "fear", "y"]])
    options = {"class_column": "mood", "rater_column": "rater", "group_column": "scene"}
    with pytest.raises(DatasetError, match=r"1 images have no class .* 'fear' and 'joy' have 1 each for 'c.png'"):
        load_dataset("csv", root, **options)
    dataset = load_dataset("csv", root, ties="skip", **options)
    assert (dataset.names, dataset.groups) == (("a.png", "b.png"), ("x", "y"))
    assert "1 images with tied votes left out" in dataset.pooled[0].sentence


def test_groups_and_splits_belong_to_images(root: Path) -> None:
    dataset = load(root, group_column="scene")
    assert dataset.groups == ("x", "y", "y")
    rewrite(root, [*LONG[:-1], ["a.png", "dora", 3, 3, "fear", "z"]])
    with pytest.raises(DatasetError, match=r"'scene' says 'x' of 'a.png' in line 2 and 'z' in line 7"):
        load(root, group_column="scene")


@pytest.mark.parametrize(("repeats", "mean"), [("mean", 2.5), ("first", 2), ("last", 3)])
def test_one_person_counts_once(root: Path, repeats: str, mean: float) -> None:
    rewrite(root, [*LONG, ["a.png", "carl", 5, 1, "joy", "x"]])
    with pytest.raises(DatasetError, match=r"'carl' rates 'a.png' more than once \(line 6 and line 8\).*repeats=mean"):
        load(root)
    dataset = load(root, repeats=repeats)
    assert dataset.ratings is not None
    assert dataset.ratings[0, 0] * 4 + 1 == pytest.approx(mean)
    assert dataset.pooled[0].counts[0] == 3
    assert f"1 repeated ratings ({repeats})" in dataset.pooled[0].sentence


def test_rows_of_nobody_are_pooled_when_this_is_stated(root: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"more than one row \(lines 2 and 4\).*--option rater_column=rater .*image|"
    ):
        load(root, rater_column=None)
    dataset = load(root, rater_column=None, anonymous_raters=True)
    assert (dataset.pooled[0].raters, dataset.pooled[0].answers) == (None, 6)


def test_repeated_rows_are_refused_with_the_line_to_type(root: Path) -> None:
    with pytest.raises(DatasetError) as told:
        load(root, rater_column=None)
    assert "rates 'a.png' in more than one row (lines 2 and 4)" in str(told.value)
    assert "--option rater_column=rater (columns: rater, mos" in str(told.value)
    assert "--option anonymous_raters=true" in str(told.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rater_column": "rater", "anonymous_raters": True}, InvalidOptionError, "rater_column and anonymous_raters"),
        ({"rater_columns": "mos"}, InvalidOptionError, "rater_columns hold the ratings of one label"),
        ({"columns": None, "rater_column": None, "rater_columns": "r_*"}, DatasetError, "more than one row"),
        ({"rater_column": "ratr"}, DatasetError, "no column 'ratr'. Did you mean 'rater'"),
        ({"repeats": "avg"}, InvalidOptionError, "repeats must be error, mean, first or last, got 'avg'"),
        (
            {"columns": None, "lower": None, "upper": None, "class_column": "mood", "ties": "no"},
            InvalidOptionError,
            "ties",
        ),
        (
            {"columns": None, "lower": None, "upper": None, "class_column": "mood", "repeats": "mean"},
            InvalidOptionError,
            "ratings",
        ),
    ],
)
def test_what_has_two_readings_is_refused(
    root: Path, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load(root, **options)


def test_an_empty_cell_of_a_rater_is_refused_by_its_line(root: Path) -> None:
    rewrite(root, [*LONG, ["c.png", "", 3, 3, "joy", "y"]])
    with pytest.raises(DatasetError, match="line 8: the column 'rater' is empty here"):
        load(root)


def test_missing_images_take_their_counts_with_them(root: Path) -> None:
    (root / "a.png").unlink()
    dataset = load(root, missing="skip")
    assert dataset.pooled[0].counts.tolist() == [2, 1]


def test_a_check_says_what_was_pooled_and_who_disagrees(root: Path) -> None:
    rng = np.random.default_rng(0)
    rows: list[list[object]] = [["image", "rater", "mos"]]
    for number in range(12):
        picture(root / f"{number}.png", number)
        rows += [[f"{number}.png", rater, f"{number + rng.normal():.3f}"] for rater in ("anna", "ben", "carl")]
        rows.append([f"{number}.png", "contrary", 12 - number])
    rewrite(root, rows)
    dataset = load(root, lower=-5, upper=20)
    report = check_dataset(dataset, make_splits(dataset, 2))
    (pooled,) = report.pooled
    assert pooled.outlier is not None
    assert (pooled.outlier[0], pooled.outlier[1] < -0.5) == ("contrary", True)
    assert {"ICC of one rating", "of the mean", "SRCC of a rater with the others"} == set(pooled.agreement)
    assert pooled.sentence.startswith("mean of 48 ratings by 4 raters, 4 per image; ICC of one rating ")
