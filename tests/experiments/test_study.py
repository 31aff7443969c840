"""Studies: which pairs are chosen, the files, and the agreement with choices."""

from __future__ import annotations

import csv
import io
from collections import Counter

import numpy as np
import pytest

from perceptmetrics.errors import DatasetError, InvalidOptionError
from perceptmetrics.experiments import (
    Choice,
    Study,
    StudyPair,
    make_study,
    read_choices,
    read_pairs,
    rescore,
    score_study,
    write_pairs,
)
from perceptmetrics.experiments.study import MAX_CANDIDATES, choose_pairs
from perceptmetrics.functional.stats import binomial_interval
from tests.experiments.stand_in import known_scores, metric

SCORES = {f"{number:02d}.png": float(score) for number, score in enumerate(np.random.default_rng(4).beta(5, 2, 40))}


def a_study(pairs=20, seed=0, higher=True, scores=SCORES):
    return make_study(
        metric(higher_is_better=higher), list(scores), pairs=pairs, seed=seed, scorer=known_scores(scores)
    )


def answer(study, sides, person="p"):
    return [Choice(participant=person, pair=number, choice=side) for number, side in enumerate(sides, start=1)]


def test_differences_are_spread_over_the_whole_range():
    """Drawn at random, hardly any pair would be far apart."""
    differences = sorted(pair.difference for pair in a_study(pairs=24).pairs)
    widest = max(SCORES.values()) - min(SCORES.values())
    counts, _ = np.histogram(differences, bins=4, range=(0, widest))
    assert counts.min() >= 4, counts


def test_pairs_are_different_and_images_shared_out():
    pairs = a_study(pairs=30).pairs
    assert len({frozenset((pair.left, pair.right)) for pair in pairs}) == 30
    uses = Counter(image for pair in pairs for image in (pair.left, pair.right))
    assert max(uses.values()) <= 6
    assert len(uses) > 25


def test_neither_side_is_the_better_one_more_often():
    """Even where the names of the files are in the order of the scores."""
    ordered = dict(zip(sorted(SCORES), sorted(SCORES.values()), strict=True))
    left = sum(pair.metric_choice == "left" for pair in a_study(pairs=200, scores=ordered).pairs)
    assert 70 <= left <= 130


def test_the_seed_decides_the_pairs():
    assert a_study(seed=3) == a_study(seed=3)
    assert a_study(seed=3).pairs != a_study(seed=4).pairs


def test_few_images_give_few_pairs():
    assert len(a_study(pairs=99, scores={"a": 0.1, "b": 0.2, "c": 0.4}).pairs) == 3
    assert choose_pairs([0.5, 0.5], 5, 0) in ([(0, 1)], [(1, 0)])


def test_many_images_are_sampled():
    pairs = choose_pairs(list(np.random.default_rng(0).random(3000)), 50, 0)
    assert len({frozenset(pair) for pair in pairs}) == 50
    assert 4 * MAX_CANDIDATES < 3000 * 2999 // 2


def test_the_metric_prefers_by_its_direction():
    for higher in (True, False):
        for pair in a_study(higher=higher).pairs:
            left_wins = (pair.left_score > pair.right_score) == higher
            assert pair.metric_choice == ("left" if left_wins else "right")
            assert (pair.left_score, pair.right_score) == (SCORES[pair.left], SCORES[pair.right])


def test_pairs_survive_their_file(tmp_path):
    study = a_study()
    path = tmp_path / "pairs.csv"
    path.write_bytes(write_pairs(study))
    again = read_pairs(path)
    assert again.identity == study.identity
    assert again.column == "tiny"
    for before, after in zip(study.pairs, again.pairs, strict=True):
        assert (after.left, after.right, after.metric_choice) == (before.left, before.right, before.metric_choice)
        assert after.left_score == pytest.approx(before.left_score, abs=1e-6)


def test_hostile_names_survive_the_file(tmp_path):
    names = ['a,"b".png', "line\nbreak.png", "\udcff.png", "=1+1.png"]
    study = a_study(pairs=9, scores=dict(zip(names, (0.1, 0.2, 0.3, 0.4), strict=True)))
    path = tmp_path / "pairs.csv"
    path.write_bytes(write_pairs(study))
    assert read_pairs(path).identity == study.identity
    assert {pair.left for pair in read_pairs(path).pairs} <= set(names)


def pair(number, left, right):
    side = "left" if left > right else "right" if right > left else "same"
    return StudyPair(
        pair=number, left=f"l{number}", right=f"r{number}", left_score=left, right_score=right, metric_choice=side
    )


FOUR = Study(column="tiny", pairs=(pair(1, 0.9, 0.1), pair(2, 0.2, 0.4), pair(3, 0.5, 0.4), pair(4, 0.3, 0.3)))


def test_agreement_counts_decided_choices_on_decided_pairs():
    result = score_study(
        FOUR, [*answer(FOUR, ["left", "right", "right", "left"]), *answer(FOUR, ["left", "same"], "q")]
    )
    assert (result.overall.agreed, result.overall.count) == (3, 4)
    assert result.overall.fraction == 0.75
    assert result.overall.interval == binomial_interval(3, 4)
    assert (result.undecided, result.ties) == (1, 1)
    assert {share.name: (share.agreed, share.count) for share in result.participants} == {"p": (2, 3), "q": (1, 1)}
    assert result.p_value == pytest.approx(2 * (1 + 4) / 16)


def test_the_majority_counts_each_pair_once():
    choices = [
        *answer(FOUR, ["left", "left"], "p"),
        *answer(FOUR, ["left", "left"], "q"),
        *answer(FOUR, ["right", "right", "left"], "r"),
    ]
    result = score_study(FOUR, [*choices, Choice(participant="s", pair=3, choice="right")])
    assert result.majority is not None
    assert (result.majority.agreed, result.majority.count) == (1, 2)  # pair 1 yes, pair 2 no, pair 3 undecided


def test_groups_go_from_near_to_far():
    result = score_study(FOUR, answer(FOUR, ["left", "left", "left"]))
    assert [share.name for share in result.by_difference] == ["0.1 to 0.1", "0.2 to 0.2", "0.8 to 0.8"]
    assert [share.agreed for share in result.by_difference] == [1, 0, 1]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ([Choice(participant="p", pair=9, choice="left")], "pairs 1 to 4 of this study, got one on pair 9"),
        ([Choice(participant="p", pair=4, choice="left")], "None of 1 choices can be compared"),
        ([], "None of 0 choices"),
    ],
)
def test_choices_that_say_nothing_are_refused(choices, message):
    with pytest.raises(DatasetError, match=message):
        score_study(FOUR, choices)


def test_another_metric_on_the_same_choices():
    scores = {"l1": 0.1, "r1": 0.9, "l2": 0.2, "r2": 0.4, "l3": 0.5, "r3": 0.4, "l4": 0.3, "r4": 0.1}
    study = rescore(FOUR, metric(), scorer=known_scores(scores))
    assert [row.metric_choice for row in study.pairs] == ["right", "right", "left", "left"]
    assert study.identity == FOUR.identity
    with pytest.raises(DatasetError, match="l1 is broken"):
        rescore(FOUR, metric(), scorer=known_scores(scores, failed=("l1",)))


def choices_file(path, rows, study=FOUR.identity):
    buffer = io.StringIO()
    csv.writer(buffer).writerows(
        [("study", "participant", "pair", "choice", "seconds"), *((study, *row, 1.5) for row in rows)]
    )
    path.write_text(buffer.getvalue())
    return path


def test_choices_are_read_and_counted_once(tmp_path):
    early = choices_file(tmp_path / "a.csv", [("Ann", 1, "left")])
    late = choices_file(tmp_path / "b.csv", [("Ann", 1, "left"), ("Ann", 2, "same"), ("Bob", 1, "right")])
    read = read_choices([early, late], FOUR)
    assert [(choice.participant, choice.pair, choice.choice) for choice in read] == [
        ("Ann", 1, "left"),
        ("Ann", 2, "same"),
        ("Bob", 1, "right"),
    ]


def test_choices_that_do_not_fit_are_refused(tmp_path):
    first = choices_file(tmp_path / "a.csv", [("Ann", 1, "left")])
    with pytest.raises(DatasetError, match="'Ann' answered pair 1 in two ways"):
        read_choices([first, choices_file(tmp_path / "b.csv", [("Ann", 1, "right")])], FOUR)
    with pytest.raises(DatasetError, match="belongs to the study ffff"):
        read_choices([choices_file(tmp_path / "c.csv", [("Ann", 1, "left")], study="ffff")], FOUR)
    with pytest.raises(DatasetError, match="expected one of left, right, same, got 'up'"):
        read_choices([choices_file(tmp_path / "d.csv", [("Ann", 1, "up")])], FOUR)
    (tmp_path / "e.csv").write_text("study,pair\n1,2\n")
    with pytest.raises(DatasetError, match="no column participant, choice, seconds"):
        read_choices([tmp_path / "e.csv"], FOUR)
    with pytest.raises(DatasetError, match="does not exist"):
        read_choices([tmp_path / "f.csv"], FOUR)


def test_corrupt_pairs_are_refused(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_bytes(write_pairs(FOUR).replace(b"0.900000", b"high"))
    with pytest.raises(DatasetError, match=r"corrupt.*'high'"):
        read_pairs(path)
    path.write_bytes(write_pairs(FOUR).splitlines(keepends=True)[0])
    with pytest.raises(DatasetError, match="contains no pairs"):
        read_pairs(path)


@pytest.mark.parametrize(
    ("scores", "pairs", "error"), [({"a": 1.0}, 5, DatasetError), ({"a": 1.0, "b": 2.0}, 0, InvalidOptionError)]
)
def test_studies_that_cannot_be_made_are_refused(scores, pairs, error):
    with pytest.raises(error):
        a_study(pairs=pairs, scores=scores)
