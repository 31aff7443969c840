"""Runs that take about a second: 64 x 64 pictures whose ratings follow from their colours, and tiny encoders."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer

from perceptmetrics.datasets import LabelledImages, load_dataset
from perceptmetrics.datasets.pooled import Pooled
from perceptmetrics.evaluation import ratings
from perceptmetrics.finetune import Recipe, load_recipe
from perceptmetrics.finetune.run import headline
from perceptmetrics.functional import curves
from tests.support.every_encoder import VIT, timm_network, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIDE = 64
WIDTH = 64  # of the encoder's features
COLUMNS = ("redness", "contrast")
KINDS = ("blue", "green", "red")

RECIPE = """
name: tiny
summary: Redness of generated pictures.
source: the tests
task: quality
data: csv
encoder: "timm:test_vit"
views: [{kind: whole}]
train: head
head: {hidden: [16], dropout: 0.0}
loss: plcc
optimizer: {lr: 1e-3, batch_size: 8, epochs: 3, patience: null}
"""
LORA = ("train=lora", "lora={rank: 2, alpha: 4}")


def encoder_file(folder: Path) -> Path:
    """A vision transformer with random weights."""
    return write(timm_network(VIT), folder / "encoder.safetensors")


def write_pictures(folder: Path, count: int, seed: int = 0) -> Path:
    """Write pictures with two ratings, a class, and a group for every two."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        pixels, answers = picture(rng)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
        kind = KINDS[int(answers[0] * len(KINDS) * 0.999)]
        rows.append([f"{number:03d}.png", *(f"{answer:.4f}" for answer in answers), kind, f"pair{number // 2}"])
    with (folder / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["image", *COLUMNS, "kind", "pair"], *rows])
    return folder


def picture(rng: np.random.Generator) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """Smooth noise: how red it is against blue, and how strong the noise, are its ratings."""
    red, contrast = rng.random(2)
    noise = rng.normal(size=(SIDE // 8, SIDE // 8, 3)).repeat(8, axis=0).repeat(8, axis=1)
    colour = np.array([60 + 140 * red, 128, 200 - 140 * red])
    pixels = colour + (5 + 25 * contrast) * noise
    return pixels.clip(0, 255).round().astype(np.uint8), (float(red), float(contrast))


def rated(folder: Path, columns: tuple[str, ...] = ("redness",), **options: object) -> LabelledImages:
    """The pictures with their ratings."""
    return load_dataset("csv", folder, **{"columns": list(columns), "lower": 0.0, "upper": 1.0, **options})


def pooled(counts: NDArray[np.intp], errors: NDArray[np.float64] | None = None) -> Pooled:
    """What the ratings would be made of, if as many people had rated each image."""
    return Pooled(label="redness", method="mean", answers=int(counts.sum()), raters=None, counts=counts, errors=errors)


def classed(folder: Path) -> LabelledImages:
    """The pictures with their classes."""
    return load_dataset("csv", folder, class_column="kind")


def tiny_recipe(folder: Path, *settings: str, text: str = RECIPE) -> Recipe:
    """The recipe with settings; the file is written into a folder."""
    path = folder / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(path, settings)


def hurry(setattr_: Callable[[object, str, object], None] = setattr) -> None:
    """Leave out what takes longer than training: intervals, most starts of a curve, random weights before a file's."""
    setattr_(VisionTransformer, "init_weights", lambda *_, **__: None)
    setattr_(ratings, "bootstrap_interval", lambda *_, **__: (math.nan, math.nan))
    setattr_(headline, "_DRAWS", 20)
    setattr_(curves, "_promising", lambda _: [])


def epochs_of(run: Path) -> list[dict[str, object]]:
    """The lines of a run's metrics.jsonl without the times."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def assert_same_run(run: Path, other: Path) -> None:
    """Two runs have the same weights, epochs and predictions, to the last bit."""
    assert epochs_of(run) == epochs_of(other)
    assert (run / "predictions.csv").read_text() == (other / "predictions.csv").read_text()
    weights = {path.relative_to(run) for path in run.rglob("model.safetensors")}
    assert weights
    assert weights == {path.relative_to(other) for path in other.rglob("model.safetensors")}
    for path in [*weights, Path("scores.safetensors")]:
        mine, theirs = load_file(run / path), load_file(other / path)
        assert mine.keys() == theirs.keys()
        for name, tensor in mine.items():
            assert tensor.equal(theirs[name]), f"{path}: {name}"
