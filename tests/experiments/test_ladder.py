"""Ladders: what the steps do to a photograph, and what is correlated with them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from PIL import Image, ImageFilter

from perceptmetrics import create_metric
from perceptmetrics.errors import DatasetError, InvalidOptionError
from perceptmetrics.experiments import climb_ladders
from perceptmetrics.experiments.adjust import ADJUSTMENTS, adjustment
from perceptmetrics.images.examples import sample_photographs
from perceptmetrics.scoring.results import ScoredImage
from tests.experiments.stand_in import metric


@pytest.fixture(scope="module")
def photograph():
    return sample_photographs()["coffee"].resize((150, 100))


def saturation(image):
    return float(np.asarray(image.convert("HSV"))[..., 1].mean())


def detail(image):
    values = np.asarray(image.convert("L"), dtype=float)
    return float(np.abs(np.diff(values, axis=0)).mean() + np.abs(np.diff(values, axis=1)).mean())


MEASURES = {
    "brightness": lambda image: float(np.asarray(image).mean()),
    "noise": lambda image: float(
        np.std(np.asarray(image, float) - np.asarray(image.filter(ImageFilter.MedianFilter(5)), float))
    ),
    "colour": saturation,
    "contrast": lambda image: float(np.asarray(image.convert("L")).std()),
    "sharpness": detail,
}


@pytest.mark.parametrize("attribute", ADJUSTMENTS)
def test_the_attribute_grows_from_step_to_step(photograph, attribute):
    item = adjustment(attribute)
    measured = [MEASURES[attribute](item.apply(photograph, amount)) for amount in item.amounts(6)]
    assert all(later > earlier for earlier, later in itertools.pairwise(measured)), measured


@pytest.mark.parametrize("attribute", ["brightness", "colour", "contrast"])
def test_the_amount_one_changes_nothing(photograph, attribute):
    assert np.array_equal(adjustment(attribute).apply(photograph, 1.0), photograph)


def test_attributes_are_known_by_other_names_too():
    assert adjustment("Color") is ADJUSTMENTS["colour"]
    with pytest.raises(InvalidOptionError, match="Did you mean 'sharpness'"):
        adjustment("sharpnes")


def test_the_ladder_of_a_metric_that_sees_brightness(photograph):
    """The scorer gives the mean of the pixels, so that the correlation must be perfect."""

    def scorer(metrics, sources):
        for index, image in enumerate(sources):
            yield ScoredImage(f"image {index}", {"tiny": float(np.asarray(image).mean())})

    result = climb_ladders(metric(), [photograph, photograph], ["brightness", "colour"], steps=5, scorer=scorer)
    brightness, colour = result.ladders
    assert brightness.amounts == (0.2, 0.5, 0.8, 1.1, 1.4)
    assert [climb.srcc for climb in brightness.climbs] == pytest.approx([1, 1])
    assert brightness.mean_srcc == pytest.approx(1)
    assert brightness.climbs[0].scores == tuple(sorted(brightness.climbs[0].scores))
    assert brightness.mean_scores == pytest.approx(brightness.climbs[0].scores)
    assert len(colour.climbs) == 2


def test_scores_go_to_their_own_photograph_and_step():
    def scorer(metrics, sources):
        for index, _ in enumerate(sources):
            yield ScoredImage(f"image {index}", {"tiny": float(index)})

    pictures = [Image.new("RGB", (40, 40), colour) for colour in ("red", "green")]
    first, second = climb_ladders(metric(), pictures, ["noise", "contrast"], steps=3, scorer=scorer).ladders
    assert [climb.scores for climb in first.climbs] == [(0, 1, 2), (6, 7, 8)]
    assert [climb.scores for climb in second.climbs] == [(3, 4, 5), (9, 10, 11)]


def test_a_score_that_does_not_change_has_no_correlation():
    def scorer(metrics, sources):
        for index, _ in enumerate(sources):
            yield ScoredImage(f"image {index}", {"tiny": 0.5})

    (ladder,) = climb_ladders(metric(), [Image.new("RGB", (40, 40))], ["noise"], scorer=scorer).ladders
    assert math.isnan(ladder.climbs[0].srcc)
    assert math.isnan(ladder.mean_srcc)


def test_a_label_named_like_the_attribute_is_taken(photograph):
    labelled = metric(labels=("brightness", "noisiness"))
    ladders = climb_ladders(labelled, [photograph], ["noise", "brightness"], steps=3).ladders
    assert [ladder.column for ladder in ladders] == ["tiny.noisiness", "tiny.brightness"]
    (ladder,) = climb_ladders(labelled, [photograph], ["colour"], label="brightness", steps=3).ladders
    assert ladder.column == "tiny.brightness"
    with pytest.raises(InvalidOptionError, match="no label for colour: expected 'colorfulness'"):
        climb_ladders(labelled, [photograph], ["colour"])


def test_lite_iqa_sees_blur_and_noise(photograph):
    ladders = climb_ladders(create_metric("lite_iqa"), [photograph], ["sharpness", "noise"], steps=5).ladders
    assert ladders[0].mean_srcc > 0.8
    assert ladders[1].mean_srcc < -0.8


def test_images_that_cannot_be_used_are_left_out_with_their_reason(photograph, tmp_path):
    small, missing = Image.new("RGB", (8, 8)), tmp_path / "missing.png"
    lite = create_metric("lite_iqa")
    result = climb_ladders(lite, [missing, small, photograph], ["noise"], steps=3)
    assert [climb.image for climb in result.ladders[0].climbs] == ["image 2"]
    assert {row.name: row.error for row in result.failed}.keys() == {str(missing), "image 1"}
    with pytest.raises(DatasetError, match=r"None of 2 photographs could be used. .*does not exist"):
        climb_ladders(lite, [missing, small], ["noise"], steps=3)


@pytest.mark.parametrize(
    ("attributes", "steps", "message"),
    [([], 7, "one or more"), (["noise", "noise"], 7, "distinct"), (["noise"], 2, "3 steps")],
)
def test_requests_without_a_meaning_are_refused(photograph, attributes, steps, message):
    with pytest.raises(InvalidOptionError, match=message):
        climb_ladders(metric(), [photograph], attributes, steps=steps)
