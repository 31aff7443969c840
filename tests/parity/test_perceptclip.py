"""PerceptCLIP at full size equals the independent implementation: scores, gradients, merged adapters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from perceptmetrics import Metric, create_metric
from perceptmetrics.images.examples import sample_photographs
from perceptmetrics.models.lora import merge_lora, unmerge_lora
from tests.parity.reference_perceptclip import (
    LAYERS,
    MEAN,
    STD,
    ReferencePerceptClip,
    emotion,
    load_released,
    memorability,
    quality,
)
from tests.support.photographs import photographs
from tests.support.unmerged_perceptclip import unmerged_metric

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4
WHOLE_VIEW = {"perceptclip_mem": memorability, "perceptclip_emo": emotion}

References = dict[str, ReferencePerceptClip]
Metrics = dict[str, Metric]


def largest(difference: Tensor) -> float:
    return float(difference.abs().max())


@pytest.fixture(scope="module")
def expected(references: References, pictures: list[Image.Image]) -> dict[str, Tensor]:
    """Scores of the four pictures, one by one."""
    return {
        name: torch.stack([score(references[name], picture) for picture in pictures])
        for name, score in WHOLE_VIEW.items()
    }


# Scores


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", WHOLE_VIEW)
def test_scores(
    metrics: Metrics, expected: dict[str, Tensor], pictures: list[Image.Image], name: str, batch: int
) -> None:
    scores = metrics[name].score(pictures, batch_size=batch)
    assert largest(scores - expected[name]) <= TOLERANCE
    assert scores.std(dim=0).mean() > 100 * TOLERANCE  # else the comparison would mean little


@pytest.mark.parametrize("name", WHOLE_VIEW)
def test_scores_of_files(metrics: Metrics, references: References, tmp_path: Path, name: str) -> None:
    images = {key: image for key, image in sample_photographs().items() if key in ("motorcycle_left", "rocket")}
    for key, image in images.items():
        image.save(tmp_path / f"{key}.png")
    wanted = torch.stack([WHOLE_VIEW[name](references[name], image) for image in images.values()])
    assert largest(metrics[name].score([tmp_path / f"{key}.png" for key in images]) - wanted) <= TOLERANCE


def test_quality_of_all_crops(metrics: Metrics, references: References, tmp_path: Path) -> None:
    image = sample_photographs()["coffee"]
    image.save(tmp_path / "coffee.png")
    wanted = quality(references["perceptclip_iqa"], image)
    assert largest(metrics["perceptclip_iqa"].score(tmp_path / "coffee.png") - wanted) <= TOLERANCE


@pytest.mark.parametrize(("seed", "count"), [(0, 1), (5, 2)])
def test_quality_of_a_batch(
    files: dict[str, Path], references: References, pictures: list[Image.Image], seed: int, count: int
) -> None:
    metric = create_metric("perceptclip_iqa", checkpoint=files["perceptclip_iqa"], crops=count, seed=seed)
    wanted = torch.stack([quality(references["perceptclip_iqa"], picture, count, seed) for picture in pictures[:3]])
    for batch in (1, 3):
        assert largest(metric.score(pictures[:3], batch_size=batch) - wanted) <= TOLERANCE
    assert wanted.std() > 100 * TOLERANCE


def test_raw_quality(files: dict[str, Path], references: References, pictures: list[Image.Image]) -> None:
    options = {"checkpoint": files["perceptclip_iqa"], "crops": 1}
    raw = create_metric("perceptclip_iqa", raw=True, **options).score(pictures[0])
    wanted = quality(references["perceptclip_iqa"], pictures[0], count=1) * 9.63 - 6.52
    assert largest(raw - wanted) <= 9.63 * TOLERANCE


# Gradients


def reference_pixels(images: Tensor) -> Tensor:
    return (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def compare_gradients(metric: Metric, reference: ReferencePerceptClip, images: Tensor, label: int | None) -> None:
    """Feeds both with pixels of the size that resizing leaves alone, so the reference needs no resizing of its own."""
    results = []
    for score in (metric, lambda pixels: reference_scores(reference, pixels, label is not None)):
        pixels = images.clone().requires_grad_()
        scores = score(pixels) if label is None else score(pixels)[:, label]
        scores.sum().backward()
        assert pixels.grad is not None
        results.append((scores.detach(), pixels.grad))
    (ours, our_gradient), (theirs, their_gradient) = results
    assert largest(ours - theirs) <= TOLERANCE
    assert our_gradient.norm() > 0
    cosine = torch.cosine_similarity(our_gradient.double().flatten(), their_gradient.double().flatten(), dim=0)
    assert cosine >= 0.9999
    torch.testing.assert_close(our_gradient.norm(), their_gradient.norm(), rtol=1e-2, atol=0)


def reference_scores(reference: ReferencePerceptClip, images: Tensor, labelled: bool) -> Tensor:
    pixels = reference_pixels(images)
    if labelled:
        return reference(pixels).softmax(dim=1)
    if images.shape[-1] == 224:
        return reference(pixels)[:, 0]
    # The first crops that `RandomCrop` draws after `torch.manual_seed(0)` from 512 x 384 pixels.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        places = [(int(torch.randint(0, 289, ())), int(torch.randint(0, 161, ()))) for _ in range(2)]
    crops = torch.cat([pixels[..., top : top + 224, left : left + 224] for top, left in places])
    return (reference(crops).mean(dim=0) + 6.52) / 9.63


@pytest.mark.parametrize(("name", "label"), [("perceptclip_mem", None), ("perceptclip_emo", 5)])
def test_gradients(metrics: Metrics, references: References, name: str, label: int | None) -> None:
    compare_gradients(metrics[name], references[name], photographs(224, 224)[1:2], label)


def test_gradients_of_quality(files: dict[str, Path], references: References) -> None:
    metric = create_metric("perceptclip_iqa", checkpoint=files["perceptclip_iqa"], crops=2)
    compare_gradients(metric, references["perceptclip_iqa"], photographs(512, 384)[2:3], None)


# Adapters


@pytest.fixture(scope="module")
def unmerged(files: dict[str, Path]) -> Metric:
    """Memorability with its adapters beside the encoder's own weights."""
    return unmerged_metric(files["perceptclip_mem"], "perceptclip_mem")


def test_merged_equals_unmerged(
    metrics: Metrics, unmerged: Metric, expected: dict[str, Tensor], pictures: list[Image.Image]
) -> None:
    assert largest(unmerged.score(pictures[:2]) - expected["perceptclip_mem"][:2]) <= TOLERANCE
    alone = projections(unmerged)
    merge_lora(unmerged)
    assert all(map(torch.equal, projections(unmerged), projections(metrics["perceptclip_mem"])))
    unmerge_lora(unmerged)
    assert all(map(torch.equal, projections(unmerged), alone))


def projections(metric: Metric) -> list[Tensor]:
    """Weights of the fused projections, without adapters that lie beside them."""
    names = (".in_proj.weight", ".in_proj.base.weight")
    return [tensor.clone() for name, tensor in metric.named_parameters() if name.endswith(names)]


def test_merging_equals_that_of_peft(metrics: Metrics, states: dict[str, dict[str, Tensor]]) -> None:
    theirs = load_released(states["perceptclip_mem"])
    theirs.model.merge_adapter(safe_merge=True)  # out of place: the tensors belong to all tests
    merged = theirs.state_dict()
    fused = projections(metrics["perceptclip_mem"])
    assert len(fused) == LAYERS
    for number, weight in enumerate(fused):
        names = [f"model.base_model.model.encoder.layers.{number}.self_attn.{part}_proj.base_layer" for part in "qkv"]
        wanted = torch.cat([merged[f"{name}.weight"] for name in names])
        base = torch.cat([states["perceptclip_mem"][f"{name}.weight"] for name in names])
        assert largest(weight - wanted) <= 1e-6
        assert largest(wanted - base) > 1e-3


# Sharing


def test_one_clip_in_memory_and_in_the_cache(metrics: Metrics, workplace: Path) -> None:
    first, *others = ({key: part.data_ptr() for key, part in m.encoder.named_parameters()} for m in metrics.values())
    tuned = {f"visual.transformer.resblocks.{number}.attn.in_proj.weight" for number in range(LAYERS)}
    for other in others:
        assert {key for key in first if first[key] != other[key]} == tuned
    assert len(list(workplace.glob("cache/encoders/*.safetensors"))) == 1
