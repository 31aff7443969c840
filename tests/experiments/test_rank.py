"""Rankings: order, direction, no image on both ends."""

from __future__ import annotations

import pytest

from perceptmetrics.errors import DatasetError, InvalidOptionError
from perceptmetrics.experiments import rank_images
from tests.experiments.stand_in import known_scores, metric

SCORES = {"a": 0.2, "b": 0.9, "c": 0.5, "d": 0.5, "e": 0.1}


def ranked(higher=True, **options):
    return rank_images(metric(higher_is_better=higher), list(SCORES), scorer=known_scores(SCORES), **options)


def names(rows):
    return "".join(row.image for row in rows)


def test_the_best_come_first_and_equal_scores_in_alphabetical_order():
    assert names(ranked().images) == "bcdae"
    assert [row.rank for row in ranked().images] == [1, 2, 3, 4, 5]


def test_the_best_has_the_lowest_score_where_lower_is_better():
    assert names(ranked(higher=False).images) == "eacdb"


def test_no_image_is_both_best_and_worst():
    assert names(ranked().best(12)) == "bcd"
    assert names(ranked().worst(12)) == "ea"
    assert names(ranked().best(1)) == "b"
    assert names(ranked().worst(1)) == "e"


def test_failures_are_kept_apart():
    ranking = rank_images(metric(), list(SCORES), scorer=known_scores(SCORES, failed=("b",)))
    assert names(ranking.images) == "cdae"
    assert [row.name for row in ranking.failed] == ["b"]


def test_when_everything_fails_the_reason_is_told():
    with pytest.raises(DatasetError, match=r"None of 1 images could be scored. .* a is broken"):
        rank_images(metric(), ["a"], scorer=known_scores({}, failed=("a",)))


def test_a_metric_with_labels_needs_a_label():
    labelled = metric(labels=("calm", "fierce"))
    scorer = known_scores({"a": (0.1, 0.9), "b": (0.5, 0.2)})
    assert names(rank_images(labelled, ["a", "b"], label="fierce", scorer=scorer).images) == "ab"
    assert names(rank_images(labelled, ["a", "b"], label="calm", scorer=scorer).images) == "ba"
    with pytest.raises(InvalidOptionError, match="Choose a label: calm, fierce"):
        rank_images(labelled, ["a"], scorer=scorer)
    with pytest.raises(InvalidOptionError, match="Did you mean 'calm'"):
        rank_images(labelled, ["a"], label="clam", scorer=scorer)
    with pytest.raises(InvalidOptionError, match="has a single score"):
        rank_images(metric(), ["a"], label="calm", scorer=scorer)
