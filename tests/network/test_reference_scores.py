"""Scores with the real weights, as others published them. Deselected by default: needs the Hub or a filled cache."""

from __future__ import annotations

import pytest
import torch

from perceptmetrics import create_metric
from tests.support.photographs import photographs
from tests.support.rated_data import data_folder

pytestmark = pytest.mark.network


def test_torchmetrics_documented_example() -> None:
    """The example in torchmetrics' documentation of CLIP-IQA feeds values up to 254 unscaled; so does this."""
    torch.manual_seed(42)
    images = torch.randint(255, (2, 3, 224, 224)).float()
    scores = create_metric("clipiqa", prompts=("quality", "brightness"))(images)
    torch.testing.assert_close(scores, torch.tensor([[0.8894, 0.5507], [0.8902, 0.5208]]), atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ("image", "expected"),
    [("reference_images/I01.BMP", 0.89160156), ("distorted_images/i01_01_5.bmp", 0.45898438)],
)
def test_values_of_piq_on_tid2013(image: str, expected: float) -> None:
    path = data_folder("tid2013") / image
    assert create_metric("clipiqa").score(path).item() == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("name", ["clipiqa+", "clipiqa+_rn50_512", "clipiqa+_vitL14_512"])
def test_published_prompts_are_those_that_are_pinned_and_fit_their_clip(name: str) -> None:
    """Size, sha256 and, where the file holds them, token embeddings are compared when the metric is created."""
    scores = create_metric(name).score(photographs(384, 512))
    assert scores.min() > 0
    assert scores.max() < 1
    assert scores.std() > 0.01
