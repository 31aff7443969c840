"""Converted PerceptCLIP files score as the released one does, and any likely mistake would be noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from perceptmetrics import Metric, create_metric
from perceptmetrics.export.convert import Converted, convert
from perceptmetrics.factory.folder import GOLDEN_FILE, WEIGHTS_FILE, largest_deviation
from perceptmetrics.weights.layouts import read_trained, write_trained

pytestmark = pytest.mark.slow

METRIC = "perceptclip_mem"
TOLERANCE = 1e-4  # of the comparison with the reference
NOTICED = 50 * TOLERANCE


@pytest.fixture(scope="module")
def slim(files: dict[str, Path], workplace: Path) -> Converted:
    return convert(files[METRIC], workplace / "slim", metric=METRIC)


@pytest.fixture(scope="module")
def images(pictures: list[Image.Image]) -> list[Image.Image]:
    return pictures[:2]


@pytest.fixture(scope="module")
def scores(metrics: dict[str, Metric], images: list[Image.Image]) -> Tensor:
    return metrics[METRIC].score(images)


def largest(difference: Tensor) -> float:
    return float(difference.abs().max())


# Conversion


def test_slim(slim: Converted, scores: Tensor, images: list[Image.Image]) -> None:
    assert slim.deviation <= 1e-5
    assert 11.0e6 < (slim.folder / WEIGHTS_FILE).stat().st_size < 12.0e6
    assert largest(create_metric(slim.folder).score(images) - scores) <= 1e-5
    assert largest(create_metric(METRIC, checkpoint=slim.folder).score(images) - scores) <= 1e-5


def test_merged(files: dict[str, Path], workplace: Path, scores: Tensor, images: list[Image.Image]) -> None:
    merged = convert(files[METRIC], workplace / "merged", metric=METRIC, format="merged")
    assert merged.deviation <= 1e-5
    assert merged.spec.encoder.lora is None
    assert largest(create_metric(merged.folder).score(images) - scores) <= 1e-5


def test_merged_in_half_precision(
    files: dict[str, Path], workplace: Path, scores: Tensor, images: list[Image.Image]
) -> None:
    half = convert(files[METRIC], workplace / "half", metric=METRIC, format="merged", half=True)
    assert 0.60e9 < (half.folder / WEIGHTS_FILE).stat().st_size < 0.63e9
    metric = create_metric(half.folder)
    assert {parameter.dtype for parameter in metric.parameters()} == {torch.float32}
    assert 0 < largest(metric.score(images) - scores) <= 1e-2


def test_golden_scores_notice_a_change(slim: Converted, metrics: dict[str, Metric]) -> None:
    assert largest_deviation(slim.folder, metrics[METRIC]) <= 1e-5
    golden = load_file(slim.folder / GOLDEN_FILE)
    assert golden["scores"].std() > NOTICED
    changed = slim.folder.with_name("changed")
    changed.mkdir()
    golden["scores"][1] += 0.25
    save_file(golden, changed / GOLDEN_FILE)
    assert largest_deviation(changed, metrics[METRIC]) == pytest.approx(0.25, abs=1e-5)


# Power: mistakes in the adapters


Adapters = dict[str, Tensor]


def dropped(parts: str) -> Callable[[Adapters], Adapters]:
    def change(tensors: Adapters) -> Adapters:
        return {name: 0 * tensor if name.split(".")[-2] in parts else tensor for name, tensor in tensors.items()}

    return change


def exchanged(one: str, other: str) -> Callable[[Adapters], Adapters]:
    places = {one: other, other: one}

    def change(tensors: Adapters) -> Adapters:
        split = {name: name.rsplit(".", 2) for name in tensors}
        return {
            name: tensors[f"{path}.{places.get(part, part)}.{matrix}"] for name, (path, part, matrix) in split.items()
        }

    return change


def scaled(factor: float) -> Callable[[Adapters], Adapters]:
    def change(tensors: Adapters) -> Adapters:
        return {name: factor * tensor if name.endswith(".up") else tensor for name, tensor in tensors.items()}

    return change


def transposed(tensors: Adapters) -> Adapters:
    other = {"up": "down", "down": "up"}
    split = {name: name.rsplit(".", 1) for name in tensors}
    return {name: tensors[f"{path}.{other[matrix]}"].T.contiguous() for name, (path, matrix) in split.items()}


def reversed_layers(tensors: Adapters) -> Adapters:
    def mirrored(name: str) -> str:
        start, number, rest = name.split("resblocks.")[0], *name.split("resblocks.")[1].split(".", 1)
        return f"{start}resblocks.{23 - int(number)}.{rest}"

    return {name: tensors[mirrored(name)] for name in tensors}


def last_layer_dropped(tensors: Adapters) -> Adapters:
    return {name: 0 * tensor if ".resblocks.23." in name else tensor for name, tensor in tensors.items()}


MISTAKES = {
    "no adapters": dropped("qkv"),
    "no adapter of q": dropped("q"),
    "no adapter of k": dropped("k"),
    "no adapter of v": dropped("v"),
    "q and k exchanged": exchanged("q", "k"),
    "k and v exchanged": exchanged("k", "v"),
    "alpha for alpha / rank": scaled(16.0),
    "1 for alpha / rank": scaled(2.0),
    "A and B exchanged": transposed,
    "layers in reverse": reversed_layers,
    "no adapter in the last layer": last_layer_dropped,
}


@pytest.fixture(scope="module", autouse=True)
def nothing_changed_nothing_noticed(
    slim: Converted, scores: Tensor, images: list[Image.Image], workplace: Path
) -> None:
    assert largest(score_changed(slim, images, workplace, lambda tensors: tensors) - scores) <= 1e-6


def score_changed(
    slim: Converted, images: list[Image.Image], folder: Path, change: Callable[[Adapters], Adapters]
) -> Tensor:
    """Scores by the slim file with other adapters."""
    trained = read_trained(slim.folder / WEIGHTS_FILE)
    path = folder / "changed.safetensors"
    write_trained(path, replace(trained, lora=change(dict(trained.lora))))
    return create_metric(METRIC, checkpoint=path).score(images)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_the_adapters(
    slim: Converted, scores: Tensor, images: list[Image.Image], workplace: Path, mistake: str
) -> None:
    assert largest(score_changed(slim, images, workplace, MISTAKES[mistake]) - scores) > NOTICED


# Power: mistakes in the network


@pytest.fixture
def metric(files: dict[str, Path]) -> Metric:
    """One to spoil."""
    return create_metric(METRIC, checkpoint=files[METRIC])


def gelu_for_quick_gelu(metric: Metric) -> None:
    for block in metric.encoder.visual.transformer.resblocks:
        block.mlp.gelu = nn.GELU()


def no_normalisation_after(metric: Metric) -> None:
    metric.encoder.visual.ln_post = nn.Identity()


def no_normalisation_before(metric: Metric) -> None:
    metric.encoder.visual.ln_pre = nn.Identity()


def unit_length(metric: Metric) -> None:
    metric.encoder.register_forward_hook(lambda _, __, features: F.normalize(features, dim=-1))


def no_positional_embedding(metric: Metric) -> None:
    metric.encoder.mode = "drop"


def mean_and_std_of_imagenet(metric: Metric) -> None:
    metric.views.normalization.mean = torch.tensor([0.485, 0.456, 0.406])
    metric.views.normalization.std = torch.tensor([0.229, 0.224, 0.225])


def gelu_in_the_head(metric: Metric) -> None:
    metric.head.layers = nn.Sequential(*(nn.GELU() if isinstance(m, nn.ReLU) else m for m in metric.head.layers))


@pytest.mark.parametrize(
    "mistake",
    [
        gelu_for_quick_gelu,
        no_normalisation_after,
        no_normalisation_before,
        unit_length,
        no_positional_embedding,
        mean_and_std_of_imagenet,
        gelu_in_the_head,
    ],
    ids=lambda mistake: mistake.__name__,
)
def test_mistakes_in_the_network(
    metric: Metric, scores: Tensor, images: list[Image.Image], mistake: Callable[[Metric], None]
) -> None:
    mistake(metric)
    assert largest(metric.score(images) - scores) > NOTICED


@pytest.mark.parametrize("resampling", [Image.Resampling.BICUBIC, Image.Resampling.NEAREST])
def test_mistakes_in_resizing(
    metrics: dict[str, Metric], scores: Tensor, images: list[Image.Image], resampling: Image.Resampling
) -> None:
    resized = [image.resize((298, 224), resampling) for image in images]
    assert largest(metrics[METRIC].score(resized) - scores) > NOTICED
