"""Comparisons of many folders: ranks, wins, corrected tests and intervals, and what is said of them."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest
from scipy import stats

from perceptmetrics.errors import DatasetError, InvalidOptionError
from perceptmetrics.experiments import compare_folders, compare_methods
from perceptmetrics.functional.stats import holm
from perceptmetrics.reports import compare_makers, folder_names, methods_makers, methods_sentence
from tests.experiments.stand_in import known_scores, metric, touch

COUNT = 20


def compared(tmp_path, scores, higher=True, extra=(), **options):
    """Compare folders of the names in `scores`, in which file i has the i-th score."""
    known = {}
    for name, values in scores.items():
        for number, value in enumerate(values):
            touch(tmp_path / name / f"{number:02d}", "a.png")
            known[str(tmp_path / name / f"{number:02d}" / "a.png")] = value
    for path in extra:
        touch(tmp_path, path)
    folders = [tmp_path / name for name in scores]
    return compare_methods(metric(higher_is_better=higher), folders, scorer=known_scores(known), **options)


@pytest.fixture
def scores():
    """A method that is best, two that are alike, and one that is worst."""
    rng = np.random.default_rng(0)
    base = rng.random(COUNT)
    return {
        "best": base + 1,
        "same": base + 0.05 * rng.normal(size=COUNT),
        "like": base + 0.05 * rng.normal(size=COUNT),
        "worst": base - 1,
    }


def test_ranks_wins_and_means_are_those_of_the_scores(tmp_path, scores):
    scores["like"][3] = scores["same"][3]  # a tie
    result = compared(tmp_path, scores)
    table = np.array([*scores.values()]).T
    ranks = stats.rankdata(-table, axis=1)
    assert [method.mean_rank for method in result.methods] == pytest.approx(ranks.mean(axis=0).tolist())
    assert [method.mean for method in result.methods] == pytest.approx(table.mean(axis=0).tolist())
    assert [method.best for method in result.methods] == [COUNT, 0, 0, 0]
    assert [result.methods[0].win_rate, result.methods[3].win_rate] == [1, 0]
    pair = result.between(1, 2)
    wins = int((table[:, 1] > table[:, 2]).sum())
    assert (pair.wins, pair.losses, pair.ties) == (wins, COUNT - 1 - wins, 1)
    assert result.methods[1].win_rate == pytest.approx((wins + COUNT) / (3 * COUNT - 1))
    assert result.p_value == pytest.approx(stats.friedmanchisquare(*table.T).pvalue)


def test_tests_are_corrected_for_their_number(tmp_path, scores):
    result = compared(tmp_path, scores)
    assert len(result.pairs) == 6
    assert [pair.p_holm for pair in result.pairs] == pytest.approx(holm([pair.p_value for pair in result.pairs]))
    assert result.between(0, 3).p_value == pytest.approx(2 / 2**COUNT)
    assert [pair.differ for pair in result.pairs] == [True, True, True, False, True, True]
    assert result.alike() in ([(1, 2)], [(2, 1)])


def test_holm_is_the_step_down_procedure():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([]) == []


def test_intervals_of_pairs_hold_together(tmp_path, scores):
    rng = np.random.default_rng(1)
    wide = {name: rng.normal(size=60) for name in "abcd"}
    result = compared(tmp_path, wide)
    z = stats.norm.ppf(1 - 0.05 / 6 / 2)  # Bonferroni; the bootstrap of a mean of 60 is nearly normal
    for pair in result.pairs:
        one, other = list(wide.values())[pair.first], list(wide.values())[pair.second]
        half = z * np.std(one - other) / math.sqrt(60)
        assert pair.interval == pytest.approx((pair.mean_difference - half, pair.mean_difference + half), abs=0.08)
    assert result == compared(tmp_path, wide)
    assert result != compared(tmp_path, wide, seed=1)


def test_lower_scores_win_where_lower_is_better(tmp_path, scores):
    result = compared(tmp_path, scores, higher=False)
    assert [result.order[0], result.order[-1]] == [3, 0]
    assert result.between(3, 0).wins == COUNT
    assert result.between(3, 0).mean_difference == pytest.approx(-2)


def test_a_pair_is_seen_from_either_side(tmp_path, scores):
    result = compared(tmp_path, scores)
    one, other = result.between(0, 1), result.between(1, 0)
    assert (one.wins, one.losses, one.p_holm) == (other.losses, other.wins, other.p_holm)
    assert other.mean_difference == -one.mean_difference
    assert other.interval == (-one.interval[1], -one.interval[0])


def test_two_folders_are_compared_as_ever(tmp_path, scores):
    two = {name: scores[name] for name in ("same", "like")}
    result = compared(tmp_path, two)
    known = {image.files[side]: image.scores[side] for image in result.images for side in (0, 1)}
    pair = compare_folders(metric(), tmp_path / "same", tmp_path / "like", scorer=known_scores(known))
    (own,) = result.pairs
    assert (own.wins, own.losses, own.p_holm, own.interval) == (
        pair.wins_a,
        pair.wins_b,
        pair.p_value,
        pair.mean_difference_interval,
    )
    assert result.p_value == pair.p_value
    page = compare_makers(result, names=("same", "like"))["html"]().decode()
    assert page.count("<figure") == 8


def test_only_images_of_all_folders_count(tmp_path, scores):
    result = compared(tmp_path, scores, extra=["best/alone.png"])
    assert len(result.images) == COUNT
    assert result.methods[0].alone == (str(tmp_path / "best" / "alone.png"),)


def test_an_image_that_fails_in_one_folder_counts_in_none(tmp_path):
    for name in "abc":
        touch(tmp_path / name, "1.png", f"2{name}.png")
    (tmp_path / "a" / "2a.png").rename(tmp_path / "a" / "2.png")
    for name in "bc":
        (tmp_path / name / f"2{name}.png").rename(tmp_path / name / "2.jpg")
    scorer = known_scores({"1.png": 0.5, "2.png": 0.4}, failed=("2.jpg",))
    result = compare_methods(metric(), [tmp_path / name for name in "abc"], scorer=scorer)
    assert [image.name for image in result.images] == ["1"]
    assert len(result.failed) == 2
    assert result.p_value == 1
    assert all(math.isnan(method.win_rate) for method in result.methods)


def test_folders_without_a_common_name_or_given_twice_are_refused(tmp_path):
    for name in "abc":
        touch(tmp_path / name, f"{name}.png")
    folders = [tmp_path / name for name in "abc"]
    with pytest.raises(DatasetError, match=r"No image is in all of .*got 'a.png' and 'b.png' and 'c.png'"):
        compare_methods(metric(), folders, scorer=known_scores({}))
    for given in ([folders[0]], [*folders, folders[0]], []):
        with pytest.raises(InvalidOptionError, match="two or more different folders"):
            compare_methods(metric(), given, scorer=known_scores({}))


def test_names_of_folders_are_as_short_as_they_may_be():
    assert folder_names(["x/a", "y/b/"]) == ["a", "b"]
    assert folder_names(["x/a", "y/a", "y/b"]) == ["x/a", "y/a", "y/b"]
    assert folder_names([".", "a"]) == [".", "a"]


def test_report_says_who_is_best_and_what_may_be_chance(tmp_path, scores):
    result = compared(tmp_path, scores)
    assert methods_sentence(result) == (
        "best is preferred most often (mean rank 1.00); its difference from each of the others is more than chance."
    )
    alike = compared(tmp_path, {name: scores[name] for name in ("same", "like", "worst")})
    assert "may be chance" in methods_sentence(alike)
    makers = methods_makers(result)
    page = makers["html"]().decode()
    assert page.count('<img src="data:image/jpeg') == 16
    assert "Holm" in page
    assert page.count(">yes</td>") == 5
    rows = list(csv.reader(io.StringIO(makers["csv"]().decode())))
    assert rows[0] == ["name", *(f"image {name}" for name in scores), *(f"score {name}" for name in scores)]
    assert len(rows) == 1 + COUNT
    summary = json.loads(makers["json"]())
    assert [pair["sign_test_p_holm"] for pair in summary["pairs"]] == pytest.approx(
        [pair.p_holm for pair in result.pairs], abs=1e-8
    )
    assert makers["png"]().startswith(b"\x89PNG")
