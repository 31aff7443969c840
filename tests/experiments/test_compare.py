"""Comparisons: pairing by name, counts, direction, intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perceptmetrics.errors import DatasetError
from perceptmetrics.experiments import compare_folders
from tests.experiments.stand_in import known_scores, metric, touch


def compared(tmp_path, scores_a, scores_b, higher=True, failed=(), **options):
    """Compare folders in which file i has the i-th score."""
    a = touch(tmp_path / "a", *(f"{number}.png" for number in range(len(scores_a))))
    b = touch(tmp_path / "b", *(f"{number}.jpg" for number in range(len(scores_b))))
    known = {f"{number}.png": score for number, score in enumerate(scores_a)}
    known |= {f"{number}.jpg": score for number, score in enumerate(scores_b)}
    return compare_folders(metric(higher_is_better=higher), a, b, scorer=known_scores(known, failed), **options)


def test_wins_ties_and_losses_are_counted(tmp_path):
    result = compared(tmp_path, [0.9, 0.8, 0.5, 0.1], [0.1, 0.2, 0.5, 0.2])
    assert (result.wins_a, result.wins_b, result.ties) == (2, 1, 1)
    assert result.win_rate == pytest.approx(2 / 3)
    assert result.mean_difference == pytest.approx((0.8 + 0.6 + 0 - 0.1) / 4)
    assert result.mean_difference_interval[0] < result.mean_difference < result.mean_difference_interval[1]
    assert result.p_value == pytest.approx(1.0)


def test_the_winner_has_the_lower_score_where_lower_is_better(tmp_path):
    result = compared(tmp_path, [0.9, 0.8, 0.3], [0.1, 0.2, 0.5], higher=False)
    assert (result.wins_a, result.wins_b) == (1, 2)
    assert result.mean_difference > 0  # in units of the score, whatever its direction


def test_rounding_is_a_tie(tmp_path):
    result = compared(tmp_path, [0.5, 0.5 + 1e-7], [0.5 + 1e-7, 0.5])
    assert (result.ties, result.wins_a, result.wins_b) == (2, 0, 0)
    assert math.isnan(result.win_rate)
    assert result.p_value == 1


def test_ten_of_ten_is_significant_and_its_interval_exact(tmp_path):
    result = compared(tmp_path, np.linspace(0.6, 0.9, 10), np.linspace(0.1, 0.2, 10))
    assert result.p_value == pytest.approx(2 / 2**10)
    assert result.win_rate_interval == pytest.approx((0.025 ** (1 / 10), 1))


def test_the_seed_decides_the_interval(tmp_path):
    scores = np.random.default_rng(0).random((2, 12))
    first, again, other = (compared(tmp_path, *scores, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.mean_difference_interval != other.mean_difference_interval


def test_partners_have_the_same_path_below_their_folder(tmp_path):
    a = touch(tmp_path / "a", "x/one.png", "y/one.png", "two.png")
    b = touch(tmp_path / "b", "x/one.tif", "one.png", "two.jpg")
    scorer = known_scores({"one.png": 0.5, "one.tif": 0.4, "two.png": 0.3, "two.jpg": 0.1})
    result = compare_folders(metric(), a, b, scorer=scorer)
    assert [pair.name for pair in result.pairs] == ["two", "x/one"]
    assert result.only_a == (str(a / "y/one.png"),)
    assert result.only_b == (str(b / "one.png"),)


def test_partners_may_differ_in_unicode_composition(tmp_path):
    composed, decomposed = "sub\u00e9/\u00e9", "sube\u0301/e\u0301"
    a = touch(tmp_path / "a", f"{composed}.png", "1.png")
    b = touch(tmp_path / "b", f"{decomposed}.jpg", "1.jpg")
    scores = {"1.png": 0.9, "1.jpg": 0.1, "\u00e9.png": 0.8, "e\u0301.jpg": 0.2}
    result = compare_folders(metric(), a, b, scorer=known_scores(scores))
    assert [pair.name for pair in result.pairs] == ["1", composed]
    assert (result.wins_a, result.only_a, result.only_b) == (2, (), ())
    touch(a, f"{decomposed}.png")
    scores["e\u0301.png"] = 0.3
    result = compare_folders(metric(), a, b, scorer=known_scores(scores))
    assert [pair.name for pair in result.pairs] == ["1", decomposed]
    assert result.only_a == (str(a / f"{composed}.png"),)


def test_a_pair_with_a_broken_image_does_not_count(tmp_path):
    result = compared(tmp_path, [0.5, 0.6], [0.1, 0.2], failed=("1.jpg",))
    assert [pair.name for pair in result.pairs] == ["0"]
    assert [row.name for row in result.failed] == [str(tmp_path / "b" / "1.jpg")]


@pytest.mark.parametrize(
    ("files_a", "files_b", "message"),
    [
        (["one.png"], ["two.png"], "No image of .* has a partner .* got 'one.png' and 'two.png'"),
        (["one.png", "one.jpg"], ["one.png"], "differ only in their suffix"),
    ],
)
def test_folders_that_cannot_be_paired_are_refused(tmp_path, files_a, files_b, message):
    a, b = touch(tmp_path / "a", *files_a), touch(tmp_path / "b", *files_b)
    with pytest.raises(DatasetError, match=message):
        compare_folders(metric(), a, b, scorer=known_scores({}))


def test_a_file_is_no_folder(tmp_path):
    touch(tmp_path, "one.png")
    with pytest.raises(DatasetError, match="Expected a folder of images"):
        compare_folders(metric(), tmp_path / "one.png", tmp_path, scorer=known_scores({}))
