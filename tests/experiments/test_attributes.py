"""Profiles: what the axes are, and when there are too few."""

from __future__ import annotations

import pytest

from perceptmetrics import create_metric
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.experiments import AttributeProfiles, attribute_profiles
from perceptmetrics.experiments.attributes import Attribute, Profile
from perceptmetrics.reports import attribute_makers
from tests.experiments.stand_in import metric
from tests.support.registered_metrics import build


@pytest.fixture
def images(tmp_path):
    from perceptmetrics.images.examples import sample_photographs

    paths = []
    for name, photograph in list(sample_photographs().items())[:2]:
        paths.append(tmp_path / f"{name}.png")
        photograph.resize((96, 64)).save(paths[-1])
    return paths


def test_clipiqa_gives_one_axis_for_each_prompt(images):
    clip = build("clipiqa", prompts=["quality", "brightness", "sharpness"])
    profiles = attribute_profiles([clip], images)
    assert [axis.name for axis in profiles.attributes] == ["quality", "brightness", "sharpness"]
    assert all((axis.lower, axis.upper, axis.lower_better) == (0, 1, False) for axis in profiles.attributes)
    for profile, path in zip(profiles.images, images, strict=True):
        assert profile.image == str(path)
        assert profile.scores == pytest.approx(clip.score(path)[0].tolist(), abs=1e-5)


def test_several_metrics_give_one_axis_each(images):
    profiles = attribute_profiles([create_metric("lite_iqa"), build("clipiqa")], images)
    assert [axis.name for axis in profiles.attributes] == ["lite_iqa", "clipiqa"]


def test_labels_carry_the_name_of_their_metric_when_there_are_several_metrics(images):
    both = [create_metric("lite_iqa"), build("clipiqa", prompts=["quality", "brightness"])]
    names = [axis.name for axis in attribute_profiles(both, images).attributes]
    assert names == ["lite_iqa", "clipiqa.quality", "clipiqa.brightness"]


def test_a_single_score_makes_no_profile(images):
    with pytest.raises(InvalidOptionError, match=r"got one: tiny. Use a metric with several labels"):
        attribute_profiles([metric()], images)


def test_axes_reach_as_far_as_the_scores():
    attributes = (
        Attribute(name="bounded", lower=0, upper=1, lower_better=False),
        Attribute(name="usual range", lower=0, upper=1, lower_better=True),
        Attribute(name="unbounded", lower=None, upper=None, lower_better=False),
    )
    rows = (Profile(image="x/a.png", scores=(0.5, 1.25, -3.0)), Profile(image="y/a.png", scores=(0.2, 0.5, 5.0)))
    makers = attribute_makers(AttributeProfiles(attributes=attributes, images=rows))
    drawing = makers["svg"]()
    for text in (
        b"bounded\n(0 to 1)",
        b"lower is better\n(0 to 1.25)",
        b"unbounded\n(-3 to 5)",
        b"x/a.png",
        b"y/a.png",
    ):
        for line in text.splitlines():
            assert line in drawing  # Matplotlib keeps the text of a drawing in comments
