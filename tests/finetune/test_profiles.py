"""What colour profiles do while a metric is trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from perceptmetrics.errors import InvalidSpecError
from tests.finetune.tiny import assert_same_run, rated
from tests.unit.test_colour_profiles import PROFILES


@pytest.mark.parametrize("cached", [True, False])
def test_profiles_are_converted_or_ignored_as_the_recipe_says(cached, train, recipe, few_pictures, tmp_path: Path):
    wide = Path(shutil.copytree(few_pictures, tmp_path / "wide"))
    for path in wide.glob("*.png"):
        Image.open(path).save(path, icc_profile=PROFILES["ProPhoto"])
    settings = ["epochs=1"] if cached else ["epochs=1", "augmentation={random_crop: 48}"]
    results = {}
    for name, folder, extra in (
        ("plain", few_pictures, []),
        ("ignored", wide, ["icc=ignore"]),
        ("converted", wide, []),
    ):
        results[name] = train(recipe(*settings, *extra), [rated(folder)], tmp_path / name)
    assert_same_run(tmp_path / "plain", tmp_path / "ignored")
    with pytest.raises(AssertionError):
        assert_same_run(tmp_path / "plain", tmp_path / "converted")


def test_another_word_is_refused(recipe):
    with pytest.raises(InvalidSpecError, match="icc must be"):
        recipe("icc=srgb")
