"""Benchmarks on data sets with known scores, and on real images."""

from __future__ import annotations

import csv
import io
import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score

from perceptmetrics import create_metric
from perceptmetrics.datasets import LabelledImages, Scale, Split, load_dataset, make_splits
from perceptmetrics.errors import DatasetError, InvalidImageError, InvalidOptionError
from perceptmetrics.evaluation import benchmark, predictions_csv, write_predictions
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import score_columns
from perceptmetrics.spec import SoftmaxMap
from tests.support.mean_colour_metric import tiny_metric
from tests.support.rated_data import data_folder

COUNT = 40
TRUTH = np.random.default_rng(0).uniform(0.1, 0.9, COUNT)
NAMES = tuple(f"{number}.png" for number in range(COUNT))


PERCENT = (Scale(lower=0, upper=100),)


def rated(ratings=TRUTH, labels=("mos",), scales=PERCENT, **options):
    ratings = np.asarray(ratings, dtype=float).reshape(COUNT, len(labels))
    images = tuple(Path(name) for name in NAMES)
    fields = {"name": "photos", "task": "quality", "images": images, "names": NAMES, "labels": labels}
    return LabelledImages(**fields, ratings=ratings, scales=scales, **options)


def scorer(*columns, failed=()):
    """Looks the scores of an image up by its number."""
    asked = []

    def score(metrics, sources):
        names = score_columns(metrics)
        for source in sources:
            asked.append(source)
            number = int(Path(source).stem)
            if number in failed:
                yield ScoredImage(str(source), error="it is broken")
            else:
                values = (float(column[number]) for column in columns)
                yield ScoredImage(str(source), dict(zip(names, values, strict=True)))

    score.asked = asked
    return score


def part(*places):
    return np.array(places, dtype=np.intp)


NOISY = TRUTH + np.random.default_rng(1).normal(0, 0.1, COUNT)


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_a_good_metric_has_a_positive_srcc_whatever_its_direction(higher_is_better):
    metric = tiny_metric(lower=-1.0, upper=3.0, higher_is_better=higher_is_better)
    scores = -1 + 4 * (NOISY if higher_is_better else 1 - NOISY)
    done = benchmark(metric, rated(), intervals=False, scorer=scorer(scores))
    (result,) = done.ratings
    assert result.predictions == pytest.approx(NOISY)
    assert result.statistics.srcc == pytest.approx(spearmanr(NOISY, TRUTH).statistic)
    assert result.statistics.rmse == pytest.approx(100 * math.sqrt(np.mean((NOISY - TRUTH) ** 2)))
    assert done.predictions.of("tiny") == pytest.approx(scores)


def test_a_metric_without_ends_has_no_error_before_the_fit():
    metric = tiny_metric(lower=None, upper=None, higher_is_better=False)
    (result,) = benchmark(metric, rated(), intervals=False, scorer=scorer(-5 * NOISY)).ratings
    assert result.statistics.srcc == pytest.approx(spearmanr(NOISY, TRUTH).statistic)
    assert math.isnan(result.statistics.rmse)
    assert math.isnan(result.statistics.mse)
    assert 0 < result.statistics.rmse_logistic4 < 20


def test_medians_are_those_of_the_test_parts():
    splits = [Split(train=part(0), validation=part(1), test=np.arange(start, start + 15)) for start in (0, 10, 20)]
    dataset = rated()
    (result,) = benchmark(tiny_metric(), dataset, splits, scorer=scorer(NOISY)).ratings
    expected = [spearmanr(NOISY[split.test], TRUTH[split.test]).statistic for split in splits]
    assert [statistics.srcc for statistics in result.on_tests] == pytest.approx(expected)
    assert result.medians["srcc"] == pytest.approx(np.median(expected))
    assert result.statistics.srcc_interval is not None
    assert result.on_tests[0].srcc_interval is None
    assert benchmark(tiny_metric(), dataset, intervals=False, scorer=scorer(NOISY)).ratings[0].medians == {}


def test_ratings_go_with_the_labels_they_are_called_like():
    metric = tiny_metric(labels=("Valence", "arousal"))
    scales = (Scale(lower=1, upper=7),) * 3
    other = np.random.default_rng(5).uniform(size=COUNT)
    dataset = rated(np.stack([other, TRUTH, TRUTH], axis=1), labels=("arousal", "valence", "beauty"), scales=scales)
    done = benchmark(metric, dataset, intervals=False, scorer=scorer(NOISY, other))
    pairs = [(result.rating, result.column) for result in done.ratings]
    assert pairs == [
        ("arousal", "tiny.arousal"),
        ("valence", "tiny.Valence"),
        ("beauty", "tiny.Valence"),
        ("beauty", "tiny.arousal"),
    ]
    assert done.ratings[0].statistics.srcc == pytest.approx(1)
    single = benchmark(tiny_metric(), dataset, intervals=False, scorer=scorer(NOISY))
    assert [result.rating for result in single.ratings] == ["arousal", "valence", "beauty"]


def test_failed_images_and_holes_are_left_out_and_named():
    ratings = np.where(np.arange(COUNT) == 7, np.nan, TRUTH)
    scores = np.where(np.arange(COUNT) == 3, np.nan, NOISY)
    splits = [Split(train=part(0), validation=part(1), test=np.arange(10))]
    done = benchmark(tiny_metric(), rated(ratings), splits, intervals=False, scorer=scorer(scores, failed=(2,)))
    assert [row.name for row in done.predictions.failed] == ["2.png", "3.png"]
    assert done.predictions.failed[0].error == "it is broken"
    (result,) = done.ratings
    assert (result.statistics.n, result.on_tests[0].n) == (COUNT - 3, 7)
    kept = [0, 1, 4, 5, 6, 8, 9]
    assert result.on_tests[0].srcc == pytest.approx(spearmanr(NOISY[kept], TRUTH[kept]).statistic)


def test_each_image_is_scored_once():
    looked_up = scorer(NOISY)
    benchmark(tiny_metric(), rated(), make_splits(rated(), 5), intervals=False, scorer=looked_up)
    assert len(looked_up.asked) == COUNT


@pytest.mark.parametrize(
    ("failed", "test", "message"),
    [
        (tuple(range(COUNT)), part(0), "photos: none of 40 images could be scored. The first failed because: it is"),
        ((4,), part(4), "photos: no image of the test part of split 1 has a score and a rating 'mos'"),
    ],
)
def test_nothing_to_evaluate_is_an_error(failed, test, message):
    splits = [Split(train=part(0), validation=part(1), test=test)]
    with pytest.raises(DatasetError, match=message):
        benchmark(tiny_metric(), rated(), splits, intervals=False, scorer=scorer(NOISY, failed=failed))


def test_ratings_that_rank_within_groups_are_compared_there():
    groups = tuple(f"photograph {number // 8}" for number in range(COUNT))
    level = np.repeat(np.random.default_rng(2).uniform(0, 50, 5), 8)
    dataset = rated(groups=groups, ranks_within_groups=True)
    (result,) = benchmark(tiny_metric(), dataset, intervals=False, scorer=scorer(level + TRUTH)).ratings
    assert result.statistics.srcc == pytest.approx(1)
    assert math.isnan(result.statistics.plcc_logistic4)


def test_a_replaced_curve_is_a_warning(caplog):
    splits = [Split(train=part(0), validation=part(1), test=np.arange(start, start + 4)) for start in (0, 4)]
    with caplog.at_level(logging.WARNING):
        benchmark(tiny_metric(), rated(), splits, intervals=False, scorer=scorer(NOISY))
    assert "the 4-parameter logistic is replaced on 2 of 2 test parts." in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        benchmark(tiny_metric(), rated(), intervals=False, scorer=scorer(-NOISY))
    assert "replaced on all images (linear instead, since logistic4: it does not rise with the score)" in caplog.text


LABELS = ("awe", "fear", "joy")
CLASSES = np.random.default_rng(3).integers(0, 3, COUNT)
PROBABILITIES = np.random.default_rng(4).dirichlet((1, 1, 1), COUNT) * 0.5 + 0.5 * np.eye(3)[CLASSES]


def classified(labels=LABELS):
    images = tuple(Path(name) for name in NAMES)
    return LabelledImages(
        name="feelings", task="emotion", images=images, names=NAMES, labels=labels, classes=CLASSES,
        positive_labels=("awe", "joy"),
    )  # fmt: skip


def test_classes_are_found_by_name():
    metric = tiny_metric(labels=("Joy", "awe", "fear"), map=SoftmaxMap())
    splits = [Split(train=part(0), validation=part(1), test=np.arange(start, start + 20)) for start in (0, 20)]
    shuffled = [PROBABILITIES[:, index] for index in (2, 0, 1)]
    done = benchmark(metric, classified(), splits, intervals=False, scorer=scorer(*shuffled, failed=(5,)))
    (result,) = done.classes
    assert done.ratings == ()
    kept = np.arange(COUNT) != 5
    assert result.statistics.accuracy == pytest.approx(
        accuracy_score(CLASSES[kept], PROBABILITIES[kept].argmax(axis=1))
    )
    assert result.statistics.n == COUNT - 1
    assert result.statistics.binary_accuracy > 0.6
    assert result.medians["macro_f1"] == pytest.approx(np.median([row.macro_f1 for row in result.on_tests]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "predicts no probabilities of labels, and feelings has classes"),
        (
            {"labels": ("awe", "fear"), "map": SoftmaxMap()},
            "predicts awe, fear, and feelings has the classes awe, fear, j",
        ),
    ],
)
def test_a_metric_of_other_classes_is_refused(options, message):
    with pytest.raises(InvalidOptionError, match=message):
        benchmark(
            tiny_metric(**options),
            classified(),
            intervals=False,
            scorer=scorer(*[NOISY] * len(options.get("labels", "1"))),
        )


@dataclass(frozen=True)
class Grey:
    """A grey image, or one that cannot be made."""

    level: int

    @property
    def identity(self):
        return f"grey {self.level}"

    def render(self):
        if self.level == 30:
            raise InvalidImageError("its photograph is gone")
        return torch.full((3, 8, 8), self.level, dtype=torch.uint8)


def test_rendered_images_are_scored_and_a_broken_one_shifts_no_other():
    images = tuple(Grey(level) for level in range(0, 250, 10))
    names = tuple(image.identity for image in images)
    ratings = np.linspace(0, 1, len(images))[:, None]
    scale = Scale(lower=0, upper=1)
    dataset = LabelledImages(
        name="greys", task="quality", images=images, names=names, labels=("mos",), ratings=ratings, scales=(scale,)
    )
    metric = tiny_metric()
    done = benchmark(metric, dataset, intervals=False)
    assert [(row.name, row.error) for row in done.predictions.failed] == [("grey 30", "its photograph is gone")]
    expected = [metric.score(image.render() / 255).item() for image in images if image.level != 30]
    scored = done.predictions.of("tiny")
    assert scored[np.isfinite(scored)] == pytest.approx(expected, abs=1e-6)
    assert math.isnan(scored[3])


def test_the_file_of_predictions_has_a_row_for_each_image(tmp_path):
    ratings = np.where(np.arange(COUNT) == 7, np.nan, TRUTH)
    dataset = rated(ratings, scales=(Scale(lower=1, upper=5, higher_is_better=False),))
    splits = [Split(train=np.arange(20), validation=np.arange(20, 25), test=np.arange(25, COUNT))]
    first = benchmark(tiny_metric(), dataset, splits, intervals=False, scorer=scorer(NOISY, failed=(2,)))
    metric = tiny_metric(labels=LABELS, map=SoftmaxMap())
    second = benchmark(metric, classified(), intervals=False, scorer=scorer(*PROBABILITIES.T))
    write_predictions(tmp_path / "new" / "predictions.csv", [first, second])
    content = (tmp_path / "new" / "predictions.csv").read_bytes()
    assert content == predictions_csv([first, second])
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert len(rows) == 2 * COUNT
    assert [rows[place]["part"] for place in (0, 22, 39)] == ["train", "validation", "test"]
    assert float(rows[5]["score.tiny"]) == pytest.approx(NOISY[5], abs=1e-6)
    assert float(rows[5]["fraction.mos"]) == pytest.approx(TRUTH[5], abs=1e-6)
    assert float(rows[5]["rating.mos"]) == pytest.approx(5 - 4 * TRUTH[5], abs=1e-5)
    assert (rows[2]["score.tiny"], rows[2]["error"], rows[7]["rating.mos"]) == ("", "it is broken", "")
    assert (rows[COUNT]["dataset"], rows[COUNT]["class"]) == ("feelings", LABELS[CLASSES[0]])
    assert rows[COUNT]["score.tiny"] == rows[COUNT]["rating.mos"] == ""
    assert float(rows[COUNT]["score.tiny.fear"]) == pytest.approx(PROBABILITIES[0, 1], abs=1e-6)


def thinned(dataset, step):
    """Every `step`-th image of a data set."""
    chosen = slice(None, None, step)
    return replace(
        dataset, images=dataset.images[chosen], names=dataset.names[chosen], ratings=dataset.ratings[chosen],
        groups=None if dataset.groups is None else dataset.groups[chosen], official_splits=(),
    )  # fmt: skip


def test_lite_iqa_agrees_with_real_ratings():
    """It was trained on LIVEC and has not seen BIQ2021."""
    metric = create_metric("lite_iqa")
    livec = thinned(load_dataset("livec", data_folder("livec"), missing="skip"), 20)
    options = {"columns": ["mos"], "group_column": "group", "lower": 0, "upper": 1}
    biq = thinned(load_dataset("csv", data_folder("biq2021"), **options), 50)
    (seen,) = benchmark(metric, livec).ratings
    (unseen,) = benchmark(metric, biq, intervals=False).ratings
    assert 0.9 < seen.statistics.srcc < 0.99
    assert 0.45 < unseen.statistics.srcc < 0.8
    assert 3 < seen.statistics.rmse < 8
    assert seen.statistics.srcc_interval[0] > 0.8
