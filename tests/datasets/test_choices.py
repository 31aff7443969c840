"""`choices`: pairwise choices as scores, what a winner may be called, sets of images that were never compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perceptmetrics.datasets import load_dataset, make_splits
from perceptmetrics.errors import DatasetError, InvalidOptionError
from perceptmetrics.functional.preference import bradley_terry
from tests.datasets.layouts import picture, table

HEADER = ["image_a", "image_b", "winner", "who"]
ROWS = [
    ["0.png", "1.png", "a", "anna"],
    ["1.png", "2.png", "image_a", "ben"],
    ["2.png", "0.png", "0.png", "anna"],
    ["3.png", "2.png", "B", "ben"],
    ["3.png", "1.png", "tie", "ben"],
]
OUTCOMES = [1, 1, 0, 0, 0.5]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(8):
        picture(tmp_path / f"{number}.png", number)
    table(tmp_path / "labels.csv", [HEADER, *ROWS])
    return tmp_path


def test_choices_become_win_rates(root: Path) -> None:
    dataset = load_dataset("choices", root, rater_column="who")
    pairs = np.array([[int(name[0]) for name in row[:2]] for row in ROWS])
    expected = bradley_terry(pairs[:, 0], pairs[:, 1], OUTCOMES, 4)
    assert dataset.names == ("0.png", "1.png", "2.png", "3.png")
    assert dataset.ratings is not None
    assert dataset.ratings[:, 0].tolist() == pytest.approx(expected.win_rate.tolist())
    (pooled,) = dataset.pooled
    assert (dataset.labels, pooled.raters, pooled.counts.tolist()) == (("preference",), 2, [2, 3, 3, 2])
    assert expected.error is not None
    assert pooled.errors is not None
    assert pooled.errors.tolist() == pytest.approx(expected.error.tolist())
    assert "Bradley-Terry scores of 5 choices by 2 raters, 2 to 3, median 2.5 per image" in pooled.sentence
    assert "1 ties count as half a win of each" in pooled.sentence


def test_a_table_may_have_columns_and_words_of_its_own(root: Path) -> None:
    expected = load_dataset("choices", root).ratings
    words = {1: "1", 0: "2", 0.5: "0"}
    rows = [[a, b, words[outcome]] for (a, b, *_), outcome in zip(ROWS, OUTCOMES, strict=True)]
    table(root / "labels.csv", [["left", "right", "picked"], *rows])
    with pytest.raises(DatasetError, match=r"no column 'image_a'; its columns are left, right, picked.*image_a=NAME"):
        load_dataset("choices", root)
    columns = {"image_a": "left", "image_b": "right", "winner": "picked"}
    with pytest.raises(
        DatasetError, match=r"line 2: expected a, b, tie, left, right, '0.png' or '1.png' .*a_wins=WORD"
    ):
        load_dataset("choices", root, **columns)
    dataset = load_dataset("choices", root, **columns, a_wins=1, b_wins=2, tie=0, label="beauty")
    assert dataset.ratings == pytest.approx(expected)
    assert dataset.labels == ("beauty",)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["0.png", "1.png", "", ""], "line 7: the column 'winner' is empty here. Write tie, or remove the row"),
        (["0.png", "0.png", "a", ""], "line 7: '0.png' is compared with itself"),
        (["0.png", "", "a", ""], "line 7: the name of an image is missing"),
        (["b", "a", "a", ""], "line 7: 'a' in the column 'winner' can be a side and an image of that name"),
    ],
)
def test_a_choice_that_cannot_be_read_is_refused_by_its_line(root: Path, row: list[str], message: str) -> None:
    table(root / "labels.csv", [HEADER, *ROWS, row])
    with pytest.raises(DatasetError, match=message):
        load_dataset("choices", root)


def test_images_that_were_never_compared_are_refused_by_name_or_kept_apart(root: Path) -> None:
    table(root / "labels.csv", [HEADER, *ROWS, ["5.png", "6.png", "a", ""]])
    with pytest.raises(DatasetError) as told:
        load_dataset("choices", root)
    for text in ("fall apart into 2 sets", "4 with '0.png', 2 with '5.png'", "apart=largest", "apart=groups"):
        assert text in str(told.value)
    whole = load_dataset("choices", root, apart="groups")
    assert (whole.ranks_within_groups, whole.groups) == (True, (*["set 1"] * 4, *["set 2"] * 2))
    largest = load_dataset("choices", root, apart="largest")
    assert (largest.names, largest.ranks_within_groups) == (("0.png", "1.png", "2.png", "3.png"), False)
    assert "2 images of 1 other sets left out" in largest.pooled[0].sentence
    assert whole.ratings is not None
    assert largest.ratings is not None
    assert whole.ratings[:4] == pytest.approx(largest.ratings)


@pytest.mark.parametrize("prior", [0, -1, float("nan"), True, "much"])
def test_the_prior_is_a_positive_number(root: Path, prior: object) -> None:
    with pytest.raises(InvalidOptionError, match="prior must be a number above 0"):
        load_dataset("choices", root, prior=prior)


def test_words_that_mean_two_things_are_refused(root: Path) -> None:
    with pytest.raises(InvalidOptionError, match="a_wins, b_wins and tie must differ"):
        load_dataset("choices", root, a_wins=1, b_wins="1")


def test_choices_are_split_like_ratings(root: Path) -> None:
    (split, *_) = make_splits(load_dataset("choices", root), 2, test=0.25, validation=0)
    assert (len(split.train), len(split.test)) == (3, 1)
