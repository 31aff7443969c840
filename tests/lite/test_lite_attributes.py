"""lite_attributes is small, ships whole, and follows what is done to photographs that it never saw."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

import perceptmetrics
from perceptmetrics import Metric, create_metric
from perceptmetrics.datasets.degradations import ALL_KINDS, degrade, fixed_ladder
from perceptmetrics.datasets.ladder_attributes import ATTRIBUTES, OWN_ATTRIBUTE
from perceptmetrics.datasets.ladder_protocols import PROTOCOLS
from perceptmetrics.images.examples import sample_photographs
from perceptmetrics.metrics.lite_attributes import LITE_ATTRIBUTES
from perceptmetrics.models.prompts import ATTRIBUTES as CLIP_IQA_ATTRIBUTES
from perceptmetrics.spec.json import spec_from_json

FOLDER = Path(perceptmetrics.__file__).parent / "metrics" / "lite_attributes"
SMALL = PROTOCOLS["small"]


@pytest.fixture(scope="module")
def metric() -> Metric:
    return create_metric("lite_attributes")


def test_the_packaged_specification_is_the_registered_one() -> None:
    assert spec_from_json((FOLDER / "spec.json").read_text(encoding="utf-8")) == LITE_ATTRIBUTES


def test_the_packaged_folder_is_an_exported_metric(metric: Metric) -> None:
    images = torch.rand(2, 3, 64, 96)
    assert torch.equal(create_metric(FOLDER)(images), metric(images))


def test_the_head_is_small() -> None:
    assert (FOLDER / "model.safetensors").stat().st_size < 1_000_000


def test_each_attribute_has_the_name_of_clip_iqa_and_its_good_end_on_the_card(metric: Metric) -> None:
    assert metric.labels == ATTRIBUTES
    assert {"sharpness", "noisiness", "contrast", "colorfulness"} <= set(metric.labels) & set(CLIP_IQA_ATTRIBUTES)
    assert not metric.lower_better
    assert all(f"{name} (1 = " in LITE_ATTRIBUTES.card.summary for name in metric.labels)


def test_all_attributes_come_from_one_pass_of_the_encoder(metric: Metric) -> None:
    passes = []
    hook = metric.encoder.register_forward_hook(lambda *_: passes.append(1))
    try:
        assert metric(torch.rand(1, 3, 64, 64)).shape == (1, 7)
    finally:
        hook.remove()
    assert len(passes) == 1


@pytest.fixture(scope="module")
def ladders(metric: Metric) -> dict[str, list[np.ndarray]]:
    """For each kind, scores of the ladders of five photographs: shape (6, 7) each."""
    found: dict[str, list[np.ndarray]] = {kind: [] for kind in ALL_KINDS}
    for title, photograph in sample_photographs().items():
        photograph.thumbnail((320, 320))
        pixels = np.asarray(photograph.convert("RGB"), dtype=np.float32) / 255
        for kind in ALL_KINDS:
            steps = fixed_ladder(kind, SMALL.strengths[kind], SMALL.manner, (len(title),))
            rungs = np.stack([pixels, *(degrade(pixels, step) for step in steps)])
            with torch.inference_mode():
                found[kind].append(metric(torch.from_numpy(rungs).permute(0, 3, 1, 2).contiguous()).numpy())
    return found


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_ladders_of_unseen_photographs_are_in_order(ladders: dict[str, list[np.ndarray]], kind: str) -> None:
    """At most two of 25 steps wrong: the photographs are few, docs/lite_attributes.md has the real figures."""
    own = ATTRIBUTES.index(OWN_ATTRIBUTE[kind])
    right = [better > worse for scores in ladders[kind] for better, worse in itertools.pairwise(scores[:, own])]
    assert sum(right) >= len(right) - 2


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_no_attribute_falls_as_far_as_the_one_that_is_degraded(ladders: dict[str, list[np.ndarray]], kind: str) -> None:
    own = ATTRIBUTES.index(OWN_ATTRIBUTE[kind])
    change = np.mean([scores[-1] - scores[0] for scores in ladders[kind]], axis=0)
    assert change[own] < -0.2
    assert change.argmin() == own
