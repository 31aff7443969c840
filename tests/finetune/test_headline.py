"""The headline of a run: its interval, the untouched metric beside it, and the interval of each prediction."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from perceptmetrics import create_metric
from perceptmetrics.errors import InvalidOptionError, InvalidSpecError
from perceptmetrics.finetune import finetune
from perceptmetrics.finetune.data import feeds
from perceptmetrics.finetune.run import headline
from perceptmetrics.finetune.run.untouched import Untouched
from tests.finetune.runs import classed, rated, run_result
from tests.finetune.tiny import RECIPE, tiny_recipe, write_pictures
from tests.finetune.tiny import rated as pictures_rated


def one(tmp_path, **options):
    (found,) = run_result(tmp_path / "run", [rated(tmp_path, **options.pop("images", {}))], **options).headlines
    return found


def test_the_interval_is_that_of_drawing_images_again(tmp_path):
    result = run_result(tmp_path / "run", [rated(tmp_path)], splits=3)
    (found,) = result.headlines
    ratings, tested = result.datasets[0].ratings[:, 0], [split.data_sets[0] for split in result.splits]
    assert found.value == pytest.approx(np.median(result.values("photos", "quality", "srcc")))
    universe = np.unique(np.concatenate([one.images for one in tested]))
    rng, values = np.random.default_rng(0), []
    for _ in range(headline._DRAWS):
        times = np.bincount(rng.choice(universe, len(universe)), minlength=len(ratings))
        rows = [np.repeat(np.arange(len(one.images)), times[one.images]) for one in tested]
        values.append(
            np.median(
                [
                    spearmanr(one.scores[row, 0], ratings[one.images[row]]).statistic
                    for one, row in zip(tested, rows, strict=True)
                ]
            )
        )
    assert found.interval == pytest.approx(np.quantile(values, [0.05, 0.95]))


def test_the_sentence_says_how_good_it_is_and_against_what(tmp_path):
    result = run_result(tmp_path / "run", [rated(tmp_path)])
    scores = result.datasets[0].ratings + np.random.default_rng(3).normal(0, 0.5, (40, 1))
    compared = replace(result, untouched=Untouched(name="lite_iqa", scores={"photos": scores}))
    (found,) = compared.headlines
    ends = " to ".join(f"{end:.2f}"[1:] for end in found.interval)
    assert found.sentence == (
        f"Ranks new images as people do with SRCC {found.value:.2f} (90 % interval {ends}; the untouched lite_iqa: "
        f"{found.untouched_value:.2f}; predicting the mean: 0).".replace("0.", ".")
    )
    assert found.caution == ""
    better = Untouched(name="lite_iqa", scores={"photos": result.datasets[0].ratings})
    assert replace(result, untouched=better).headlines[0].caution == "The untouched lite_iqa is better."
    equal = Untouched(name="lite_iqa", scores={"photos": scores * 0 + result.datasets[0].ratings + scores * 0.2})
    assert "is open" in replace(result, untouched=equal).headlines[0].caution


def test_what_may_be_chance_is_called_so(tmp_path):
    def noise(dataset, split, number):
        return np.random.default_rng(number).normal(size=(len(split.test), len(dataset.labels)))

    assert one(tmp_path, scores=noise).caution == "This may be no better than predicting the mean."


def test_scores_that_are_not_finite_are_said_to_be_undefined(tmp_path):
    def nothing(dataset, split, number):
        return np.full((len(split.test), 1), np.nan)

    assert "could not be measured" in one(tmp_path, scores=nothing).sentence


def test_classes_are_compared_with_the_most_frequent_one(tmp_path):
    result = run_result(tmp_path / "run", [classed(tmp_path)])
    (found,) = result.headlines
    assert found.value == pytest.approx(np.median(result.values("moods", "classes", "accuracy")))
    assert found.interval[0] < found.value < found.interval[1]
    assert found.chance == pytest.approx(7 / 20)
    assert "naming the most frequent class: .35" in found.sentence


def test_ratings_within_groups_have_the_mean_over_groups(tmp_path):
    groups = tuple(str(number // 4) for number in range(40))
    result = run_result(tmp_path / "run", [rated(tmp_path, groups=groups, ranks_within_groups=True)])
    (found,) = result.headlines
    assert found.value == pytest.approx(np.median(result.values("photos", "quality", "srcc")))


def test_several_ratings_are_named(tmp_path):
    result = run_result(tmp_path / "run", [rated(tmp_path, labels=("a", "b"))])
    assert ["(photos: a)" in result.headlines[0].sentence, "(photos: b)" in result.headlines[1].sentence] == [True] * 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory, encoder):
    """A metric of 50 pictures."""
    folder = tmp_path_factory.mktemp("trained")
    data = pictures_rated(write_pictures(folder / "pictures", 50, seed=5))
    recipe = tiny_recipe(folder, "splits={count: 3, test: 0.4, export: all, validation: 0}", "epochs=8", "keep=last")
    result = finetune(recipe, [data], folder / "mine", device="cpu", backbone_checkpoint=encoder)
    assert result.headlines  # with as many draws as those on the card
    return folder, data, result


def test_the_interval_of_a_prediction_covers_new_images(trained, encoder, tmp_path):
    folder, _, result = trained
    metric = create_metric(folder / "mine", backbone_checkpoint=encoder)
    assert metric.spec.interval == result.specs[0].interval
    assert metric.spec.interval.coverage == 0.9
    assert metric.spec.interval.images >= 30
    new = pictures_rated(write_pictures(tmp_path / "new", 80, seed=6))
    scores = metric.score(new.images)
    lower, upper = (end.numpy() for end in metric.score_interval(scores))
    ratings = new.ratings[:, 0]
    assert 0.8 <= np.mean((lower <= ratings) & (ratings <= upper)) <= 1
    assert lower.min() >= 0
    assert upper.max() <= 1
    width = metric.spec.interval.half_widths[0]
    mid = (scores > width) & (scores < 1 - width)
    assert torch.allclose(torch.tensor(upper - lower)[mid], torch.tensor(2 * width, dtype=torch.float32))
    card = (folder / "mine" / "README.md").read_text()
    assert result.headlines[0].sentence in card
    assert f"Of {metric.spec.interval.images} images that were held out" in card


def test_what_changes_the_scores_drops_the_interval(trained, encoder, tmp_path):
    folder, _, _ = trained
    other = create_metric(folder / "mine", checkpoint=folder / "mine", backbone_checkpoint=encoder)
    assert other.spec.interval is None
    with pytest.raises(InvalidOptionError, match="has no intervals"):
        other.score_interval(torch.zeros(2))


def test_a_damaged_interval_is_refused(trained, tmp_path):
    folder, _, _ = trained
    document = json.loads((folder / "mine" / "spec.json").read_text())
    for key, value, message in (
        ("half_widths", [-1.0], "half_widths"),
        ("half_widths", [0.1, 0.2], "a width for each of 1 scores"),
        ("coverage", 1.5, "coverage"),
        ("images", 5, "images must be 30 or more"),
    ):
        (tmp_path / "spec.json").write_text(json.dumps(document | {"interval": document["interval"] | {key: value}}))
        with pytest.raises(InvalidSpecError, match=message):
            create_metric(tmp_path)


def test_few_images_give_no_interval(train, recipe, few_pictures, tmp_path):
    result = train(recipe(), [pictures_rated(few_pictures)], tmp_path / "run")
    assert result.specs[0].interval is None
    assert "interval" not in json.loads((tmp_path / "run" / "spec.json").read_text())


@pytest.mark.parametrize("settings", [("train=head",), ("train=lora", "lora={rank: 2, alpha: 4}")])
def test_the_untouched_metric_scores_the_same_images(settings, trained, train, tmp_path, monkeypatch):
    folder, data, _ = trained
    kept = [line for line in RECIPE.splitlines() if not line.startswith(("encoder", "views", "head:"))]
    text = "\n".join([*kept, f"metric: {folder / 'mine'}"])
    encoded = []
    original = feeds.FeatureFeed._encode

    def counted(feed, indices):
        found = list(indices)
        encoded.extend(found)
        return original(feed, found)

    monkeypatch.setattr(feeds.FeatureFeed, "_encode", counted)
    result = train(tiny_recipe(tmp_path, *settings, "epochs=1", text=text), [data], tmp_path / "run")
    untouched = result.untouched.scores[data.name][:, 0]
    tested = result.splits[0].parts[0].test
    metric = create_metric(folder / "mine", backbone_checkpoint=train.encoder)
    expected = metric.score([data.images[index] for index in tested]).numpy()
    assert untouched[tested] == pytest.approx(expected, abs=1e-5)
    assert np.isnan(np.delete(untouched, tested)).all()
    assert len(encoded) <= len(data)
    (found,) = result.headlines
    assert found.untouched_value == pytest.approx(spearmanr(expected, data.ratings[tested, 0]).statistic)
    assert not math.isnan(found.gain[0])
    again = train(tiny_recipe(tmp_path, *settings, "epochs=1", text=text), [data], tmp_path / "run", resume=True)
    assert again.headlines == result.headlines
    assert again.specs == result.specs
