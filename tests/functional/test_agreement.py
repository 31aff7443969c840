"""Agreement of raters against published worked examples and against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from perceptmetrics.functional.agreement import fleiss_kappa, intraclass_correlation, rater_correlations

# Shrout, Fleiss (1979), table 2: six targets, four judges; ICC(1, 1) = .17, ICC(1, 4) = .44
SHROUT = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
# Fleiss (1971), the example of ten subjects, fourteen raters, five categories as it is often reprinted; kappa = .210
FLEISS = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]


def test_the_published_example_of_intraclass_correlations() -> None:
    single, mean = intraclass_correlation(SHROUT.ravel(), np.repeat(np.arange(6), 4))
    assert (round(single, 2), round(mean, 2)) == (0.17, 0.44)


def test_unequal_numbers_of_ratings_are_an_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    images = np.repeat(np.arange(40), rng.integers(1, 7, 40))
    ratings = rng.normal(size=40)[images] + 0.8 * rng.normal(size=len(images))
    groups = [ratings[images == image] for image in range(40)]
    ratio = stats.f_oneway(*groups).statistic  # of the mean squares
    size = (len(ratings) - sum(len(one) ** 2 for one in groups) / len(ratings)) / 39
    single, mean = intraclass_correlation(ratings, images)
    assert mean == pytest.approx(1 - 1 / ratio)
    assert single == pytest.approx((ratio - 1) / (ratio - 1 + size))


@pytest.mark.parametrize(
    ("ratings", "images"), [([1, 2, 3], [0, 1, 2]), ([1, 2], [0, 0]), ([2, 2, 2, 2], [0, 0, 1, 1])]
)
def test_agreement_is_undefined_without_several_ratings_of_several_images(
    ratings: list[int], images: list[int]
) -> None:
    assert all(map(math.isnan, intraclass_correlation(ratings, images)))


def test_each_rater_is_correlated_with_the_mean_of_the_others() -> None:
    rng = np.random.default_rng(1)
    table = rng.normal(size=(12, 1)) + rng.normal(size=(12, 4))
    raters = ["a", "b", "c", "d"] * 12
    found = rater_correlations(table.ravel(), np.repeat(np.arange(12), 4), raters)
    for index, rater in enumerate("abcd"):
        others = np.delete(table, index, axis=1).mean(axis=1)
        assert found[rater] == pytest.approx(stats.spearmanr(table[:, index], others).statistic)


def test_raters_who_share_few_images_or_never_differ_are_left_out() -> None:
    images = [0, 1, 2, 3, 4, 5] * 2 + [0, 1, 2, 3]
    raters = ["a"] * 6 + ["b"] * 6 + ["few"] * 4
    assert set(rater_correlations([1, 2, 3, 4, 5, 6, 3, 3, 3, 3, 3, 3, 4, 3, 2, 1], images, raters)) == {"a"}


def test_the_published_example_of_kappa() -> None:
    assert fleiss_kappa(np.array(FLEISS)) == pytest.approx(0.210, abs=5e-4)


def test_kappa_is_undefined_without_pairs_or_with_one_class() -> None:
    assert math.isnan(fleiss_kappa(np.array([[1, 0], [0, 1]])))
    assert math.isnan(fleiss_kappa(np.array([[3, 0], [2, 0]])))
