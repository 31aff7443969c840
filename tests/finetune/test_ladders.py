"""Ladders of degradations beside rated images: one head for both, nothing trained on what is for test only."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from perceptmetrics import create_metric
from perceptmetrics.datasets import LabelledImages, load_dataset
from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.finetune import RunResult, finetune
from perceptmetrics.finetune.data.batches import epoch_batches
from perceptmetrics.finetune.data.feeds import FeatureFeed
from perceptmetrics.images.load import load_image
from perceptmetrics.models.heads import MlpHead
from tests.finetune.tiny import rated, tiny_recipe

DATA = (
    "data=[{name: csv}, {name: ladders, loss: ranking, weight: 2, augmentation: {replicas: 2}}]",
    "heads=shared",
    "augmentation={horizontal_flip: true}",
    "splits={count: 2, validation: 0, export: all}",
    "head={hidden: [64], dropout: 0.0, standardise: true}",
    "optimizer={lr: 1e-3, batch_size: 48, epochs: 15, patience: null}",
)


@pytest.fixture(scope="module")
def ladders(few_pictures: Path) -> LabelledImages:
    return load_dataset("ladders", few_pictures, kinds=["noise", "blur"], showings=["whole"], protocols=["small"])


@pytest.fixture(scope="module")
def both(
    pictures: Path, ladders: LabelledImages, encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunResult, list[set[int]], list[int]]:
    """The run, which ladder images each model trained on, and how many images were encoded for each file."""
    folder = tmp_path_factory.mktemp("both")
    trained: list[set[int]] = []
    encoded: list[int] = []
    original, encode = epoch_batches, FeatureFeed._encode

    def spied(*arguments: object, epoch: int, **options: object) -> object:
        batches = original(*arguments, epoch=epoch, **options)  # type: ignore[arg-type]
        if epoch == 0:
            trained.append({draw.index for batch in batches for draw in batch.parts[1]})
        return batches

    def counted(self: FeatureFeed, indices: object) -> object:
        places = list(indices)  # type: ignore[call-overload]
        encoded.append(len(places))
        return encode(self, places)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("perceptmetrics.finetune.training.trainer.epoch_batches", spied)
        patch.setattr(FeatureFeed, "_encode", counted)
        patch.setenv("PERCEPTMETRICS_CACHE", str(folder / "cache"))
        recipe = tiny_recipe(folder, *DATA)
        run = finetune(recipe, [rated(pictures), ladders], folder / "run", device="cpu", backbone_checkpoint=encoder)
    return run, trained, encoded


def test_no_model_trains_on_what_is_for_test_only(
    both: tuple[RunResult, list[set[int]], list[int]], ladders: LabelledImages
) -> None:
    run, trained, _ = both
    trainable = set(ladders.trainable.tolist())
    assert len(trained) == 3  # two splits, then everything
    assert trained[0] < trainable
    assert trained[2] == trainable
    for split, used in zip(run.splits, trained, strict=False):
        assert set(split.parts[1].train.tolist()) == used
        assert not used & set(split.data_sets[1].images.tolist())
        assert len(set(split.data_sets[1].images.tolist()) - trainable) == len(split.data_sets[1].images) / 2


def test_one_metric_comes_of_both_and_its_card_names_them(
    both: tuple[RunResult, list[set[int]], list[int]], encoder: Path
) -> None:
    run, _, _ = both
    assert list(run.metrics.values()) == [run.folder]
    metric = create_metric(run.folder, backbone_checkpoint=encoder)
    assert metric.spec.card.training_data == (
        "csv: 40 images rated for redness. ladders: 144 images rated for quality."
    )
    assert metric(torch.rand(2, 3, 64, 64)).shape == (2,)


def test_ladders_and_ratings_are_learned(
    both: tuple[RunResult, list[set[int]], list[int]], ladders: LabelledImages, encoder: Path
) -> None:
    """The exported metric was trained on all random ladders; a random encoder learns no others."""
    run, _, _ = both
    assert min(run.values("csv", "redness", "srcc")) > 0.8
    metric = create_metric(run.folder, backbone_checkpoint=encoder)
    rungs = [ladders.images[place] for place in ladders.trainable]
    scores = metric.score([rung.render() / 255 for rung in rungs if not isinstance(rung, Path)]).reshape(-1, 6)
    assert (scores[:, :-1] > scores[:, 1:]).float().mean() > 0.8


def test_features_are_standardised_over_both_data_sets_by_the_weight_of_their_losses(
    both: tuple[RunResult, list[set[int]], list[int]], pictures: Path, ladders: LabelledImages, encoder: Path
) -> None:
    """Of the exported metric, which was trained on all 40 pictures and on all random rungs, with twice the weight."""
    metric = create_metric(both[0].folder, backbone_checkpoint=encoder)
    rungs = [ladders.images[place] for place in ladders.trainable]
    ratings = [load_image(path) for path in rated(pictures).images if isinstance(path, Path)]
    shown = [rung.render() / 255 for rung in rungs if not isinstance(rung, Path)]
    of_ratings, of_rungs = (
        torch.cat([metric.encode(metric.views(image[None]))[0].flatten(0, -2) for image in images]).double()
        for images in (ratings, shown)
    )
    assert len(of_ratings) == 40
    assert len(of_rungs) == 144
    mean = (of_ratings.mean(dim=0) + 2 * of_rungs.mean(dim=0)) / 3
    square = (of_ratings.square().mean(dim=0) + 2 * of_rungs.square().mean(dim=0)) / 3
    head = metric.head
    assert isinstance(head, MlpHead)
    torch.testing.assert_close(head.feature_mean.double(), mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(head.feature_std.double(), (square - mean.square()).sqrt() + 1e-3, rtol=1e-4, atol=1e-5)


def test_equal_images_are_encoded_once(
    both: tuple[RunResult, list[set[int]], list[int]], ladders: LabelledImages
) -> None:
    """40 rated pictures; twelve photographs, shown in two ways, each with two ladders that start alike.

    Files hold 64 images, so that two of the pairs of ladders begin in one file and go on in the next.
    """
    _, _, encoded = both
    assert len(ladders) == 12 * 2 * 2 * 6
    assert sum(encoded) == 40 + 12 * 2 * (1 + 2 * 5) + 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["splits={validation: 0}", "lr=[1e-3, 1e-4]"], "state one optimizer.lr and optimizer.patience: null"),
        (["splits={validation: 0}", "patience=3"], "state one optimizer.lr and optimizer.patience: null"),
        (["splits={validation: -0.1}"], "splits.validation must be 0 or more and below 1, got -0.1"),
        (
            ["data=[{name: csv, augmentation: {random_resized_crop: true}}]"],
            "augmentation.random_resized_crop goes with a single view of kind centre_crop, got whole",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, settings: list[str], message: str) -> None:
    with pytest.raises(InvalidSpecError, match=re.escape(message)):
        tiny_recipe(tmp_path, *settings)
