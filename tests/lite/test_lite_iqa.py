"""lite_iqa is small, ships whole, and agrees with people and with common sense on images that it never saw."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import perceptmetrics
from perceptmetrics import Metric, create_metric
from perceptmetrics.functional.stats import srcc
from perceptmetrics.images.examples import blurred, compressed, noisy, sample_photographs
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.spec.json import spec_from_json
from tests.support.rated_data import data_folder

FOLDER = Path(perceptmetrics.__file__).parent / "metrics" / "lite_iqa"


@pytest.fixture(scope="module")
def metric() -> Metric:
    return create_metric("lite_iqa")


def test_the_packaged_specification_is_the_registered_one() -> None:
    assert spec_from_json((FOLDER / "spec.json").read_text(encoding="utf-8")) == LITE_IQA


def test_the_packaged_folder_is_an_exported_metric(metric: Metric) -> None:
    images = torch.rand(2, 3, 64, 96)
    assert torch.equal(create_metric(FOLDER)(images), metric(images))


def test_the_head_is_small() -> None:
    assert (FOLDER / "model.safetensors").stat().st_size < 2_000_000


def rescaled(image: Image.Image, factor: float) -> Image.Image:
    small = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)
    return small.resize(image.size, Image.Resampling.BICUBIC)


def exposed(image: Image.Image, stops: float) -> Image.Image:
    return image.point(lambda value: min(255, value * 2**stops))


LADDERS = {
    "blur": [lambda image, s=s: blurred(image, s) for s in (1, 2, 3, 5, 8)],
    "noise": [lambda image, s=s: noisy(image, s) for s in (8, 15, 25, 40, 60)],
    "jpeg": [lambda image, q=q: compressed(image, q) for q in (60, 40, 25, 12, 6)],
    "scale": [lambda image, f=f: rescaled(image, f) for f in (0.6, 0.45, 0.33, 0.25, 0.16)],
    "over": [lambda image, s=s: exposed(image, s) for s in (0.5, 1.0, 1.5, 2.0, 2.5)],
    "under": [lambda image, s=s: exposed(image, -s) for s in (0.6, 1.2, 1.8, 2.4, 3.0)],
}


@pytest.mark.parametrize("kind", LADDERS)
def test_ladders_of_unseen_photographs_are_in_order(metric: Metric, kind: str) -> None:
    """At most two of 25 steps wrong: the photographs are few, docs/lite_iqa.md has the real figures."""
    right = []
    for photograph in sample_photographs().values():
        scores = metric.score([photograph, *(degrade(photograph) for degrade in LADDERS[kind])]).tolist()
        right += [better > worse for better, worse in itertools.pairwise(scores)]
    assert sum(right) >= len(right) - 2


def test_agrees_with_people_on_a_data_set_never_trained_on(metric: Metric) -> None:
    folder = data_folder("biq2021")
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))[::20]
    scores = metric.score([folder / "Images" / row["image"] for row in rows])
    correlation = srcc(scores, [float(row["mos"]) for row in rows])
    shuffled = srcc(scores, np.random.default_rng(0).permutation([float(row["mos"]) for row in rows]))
    assert correlation > 0.5
    assert abs(shuffled) < 0.3


def test_long_sides_are_capped_and_small_images_left_alone(metric: Metric) -> None:
    cap = LITE_IQA.views.views[0].max_long_side
    assert cap is not None
    assert metric.views(torch.rand(1, 3, 2 * cap, cap))[0].shape[-2:] == (cap, cap // 2)
    assert metric.views(torch.rand(1, 3, 50, 40))[0].shape[-2:] == (50, 40)
