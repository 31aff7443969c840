"""The cache of features: keyed by what they depend on, and never trusted when corrupt."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import pytest
import torch
from PIL import Image

from perceptmetrics.finetune.data.feeds import FeatureFeed
from perceptmetrics.finetune.model.specs import run_specs
from perceptmetrics.finetune.model.start import EncoderSource, encoder_identity, start
from perceptmetrics.finetune.processes import training_processes
from perceptmetrics.finetune.recipe import AugmentationRecipe
from perceptmetrics.images.load import load_pixels
from perceptmetrics.images.options import DecodeOptions, decoding
from perceptmetrics.models.views import Views
from perceptmetrics.spec import CropsView
from tests.finetune.tiny import rated, write_pictures

BOTH = AugmentationRecipe(horizontal_flip=True, vertical_flip=True)


@pytest.fixture
def own_data(tmp_path):
    return rated(write_pictures(tmp_path / "own", 5, seed=3))


@pytest.fixture
def processes():
    with training_processes("cpu", "float32") as processes:
        yield processes


@pytest.fixture
def make(recipe, encoder, own_data, processes, tmp_path):
    """Build a feed; its `encoded` counts the images that went through the encoder for it."""

    def build(data=None, augmentation=BOTH, *, views=None, file=encoder, seed=0):
        learned = recipe()
        (spec,) = run_specs(learned, [own_data])
        source = EncoderSource(file=file)
        metric = start(learned, [spec], source, seed=0).metric(0)
        encode, calls = metric.encode, []
        metric.encode = lambda groups: calls.append(len(groups)) or encode(groups)
        shown = spec.views if views is None else replace(spec.views, views=views)
        feed = FeatureFeed(
            data or own_data,
            metric,
            Views(shown, seed),
            augmentation,
            identity=encoder_identity(spec.encoder, source),
            processes=processes,
            folder=tmp_path / "features",
            observe=lambda done, total: None,
        )
        return feed, len(calls), metric

    return build


def test_features_are_the_encoders_of_each_mirror_image(make, own_data):
    feed, encoded, metric = make()
    assert encoded == 5
    pixels = load_pixels(own_data.images[2])
    for place, sides in enumerate([(), (-1,), (-2,), (-1, -2)]):
        (expected,) = metric.encode(metric.views((pixels.flip(sides) if sides else pixels)[None]))
        torch.testing.assert_close(feed._features[0][2, place], expected, rtol=1e-5, atol=1e-5)
    assert feed.scoring_sample(2)[0].equal(feed._features[0][2, 0])


def test_second_time_nothing_is_encoded(make):
    first, _, _ = make()
    second, encoded, _ = make()
    assert encoded == 0
    assert all(one.equal(other) for one, other in zip(first._features, second._features, strict=True))


def test_image_that_changed_is_encoded_again(make, own_data):
    before, _, _ = make()
    path = own_data.images[0]
    Image.new("RGB", (64, 64), "navy").save(path)
    after, encoded, _ = make()
    assert encoded == 5  # those of its file
    assert not after.scoring_sample(0)[0].equal(before.scoring_sample(0)[0])
    assert after.scoring_sample(1)[0].equal(before.scoring_sample(1)[0])


@pytest.mark.parametrize(
    "change",
    [
        {"augmentation": AugmentationRecipe(horizontal_flip=True)},
        {"views": (CropsView(height=64, width=64, size=32, count=2),)},
        {"views": (CropsView(height=64, width=64, size=32, count=2),), "seed": 1},
    ],
)
def test_other_views_are_encoded_again(change, make):
    make()
    if "seed" in change:
        make(views=change["views"])
    assert make(**change)[1] == 5


def test_other_weights_are_encoded_again(make, encoder, tmp_path):
    make()
    content = bytearray(encoder.read_bytes())
    content[-3] ^= 1
    (tmp_path / "other.safetensors").write_bytes(content)
    assert make(file=tmp_path / "other.safetensors")[1] == 5


@pytest.mark.parametrize("damage", ["cut off", "empty", "garbled"])
def test_corrupt_file_is_written_again(damage, make, tmp_path):
    sound, _, _ = make()
    (path,) = (tmp_path / "features").rglob("*.safetensors")
    if damage == "garbled":
        path.write_bytes(b"\xff" * path.stat().st_size)
    else:
        os.truncate(path, 0 if damage == "empty" else path.stat().st_size // 2)
    again, encoded, _ = make()
    assert encoded == 5
    assert all(one.equal(other) for one, other in zip(sound._features, again._features, strict=True))
    assert make()[1] == 0


@pytest.mark.parametrize("place", [-1, -2_000, 0.5])
def test_a_flipped_bit_is_noticed(make, tmp_path, caplog, place):
    sound, _, _ = make()
    (path,) = (tmp_path / "features").rglob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[place if isinstance(place, int) else int(len(content) * place)] ^= 1
    path.write_bytes(content)
    again, encoded, _ = make()
    assert encoded == 5
    assert all(one.equal(other) for one, other in zip(sound._features, again._features, strict=True))
    assert "is corrupt; its content is computed again" in caplog.text
    assert make()[1] == 0


def test_features_that_cannot_be_kept_are_a_warning(make, tmp_path, caplog):
    sound, _, _ = make()
    shutil.rmtree(tmp_path / "features")
    (tmp_path / "features").write_text("in the way")
    again, encoded, _ = make()
    assert encoded == 5
    assert all(one.equal(other) for one, other in zip(sound._features, again._features, strict=True))
    assert "could not be kept" in caplog.text


def test_reading_features_keeps_them_from_being_the_oldest(make, tmp_path):
    make()
    (path,) = (tmp_path / "features").rglob("*.safetensors")
    os.utime(path, (0, 0))
    make()
    assert path.stat().st_mtime > 0


def test_training_sees_one_of_the_crops_and_scoring_all(make):
    from perceptmetrics.finetune.data.batches import Draw

    feed, _, _ = make(views=(CropsView(height=64, width=64, size=32, count=3),))
    kept = feed._features[0][1].flatten(0, 1)
    assert feed.scoring_sample(1)[0].shape == (3, 64)
    seen = set()
    for seed in range(100):
        (shown,) = feed.training_sample(Draw(index=1, seed=(seed,)))
        assert shown.shape == (1, 64)
        seen.add(int((kept == shown).all(dim=1).nonzero()[0, 0]))
    assert seen == set(range(12))  # three crops of four mirror images


def test_features_depend_on_what_profiles_do(make):
    make()
    with decoding(DecodeOptions(icc="ignore")):
        assert make()[1] > 0
        assert make()[1] == 0
    assert make()[1] == 0
