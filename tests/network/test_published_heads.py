"""Published heads and their reference outputs. Deselected by default: needs the Hub or a filled cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from perceptmetrics import create_metric, list_metrics, metric_info
from perceptmetrics.factory.build import Files, open_trained
from perceptmetrics.models.heads import MlpHead
from perceptmetrics.weights.resolve import ResolveOptions
from tests.support.photographs import photographs

pytestmark = pytest.mark.network

# pyiqa's ResultsCalibra/results_official.csv, for the images of its repository in ResultsCalibra/dist_dir.
LAION_SCORES = {"I03.bmp": 3.6420, "I04.bmp": 5.5836, "I06.bmp": 5.0716, "I08.bmp": 4.6458, "I19.bmp": 3.0889}


def head_of(name: str) -> MlpHead:
    spec = metric_info(name)
    trained = open_trained(spec, Files(lookup=ResolveOptions(metric=name)))
    assert trained is not None
    head = MlpHead(spec.head)
    head.load_state_dict(trained.trained.head)
    return head.requires_grad_(False)


def test_the_head_of_laion_aes_gives_its_reference_outputs() -> None:
    features = torch.stack([torch.zeros(768), torch.eye(768)[0], torch.ones(768)])
    expected = torch.tensor([5.2366457, 4.5450521, 4.8832846])
    torch.testing.assert_close(head_of("laion_aes")(features)[:, 0], expected, rtol=0, atol=1e-5)


def test_the_head_of_laion_aes_is_one_vector() -> None:
    head = head_of("laion_aes")
    weights = [layer.weight.double() for layer in head.layers]
    vector = torch.linalg.multi_dot(weights[::-1])[0]
    assert vector.norm().item() == pytest.approx(17.9956, abs=1e-4)
    features = torch.nn.functional.normalize(torch.randn(64, 768), dim=-1)
    collapsed = features.double() @ vector + 5.2366458
    torch.testing.assert_close(head(features)[:, 0].double(), collapsed, rtol=0, atol=4e-6)


@pytest.mark.parametrize("image", LAION_SCORES)
def test_laion_aes_scores_as_pyiqa_published(image: str) -> None:
    folder = Path(os.environ.get("PYIQA_DIST_DIR", "dist_dir"))
    if not (folder / image).is_file():
        pytest.skip("set PYIQA_DIST_DIR to the folder ResultsCalibra/dist_dir of pyiqa's repository")
    assert create_metric("laion_aes").score(folder / image).item() == pytest.approx(LAION_SCORES[image], abs=0.05)


@pytest.mark.parametrize(
    "name", ["laion_aes_v1", "vitmem", "qualiclip", "liqe", "liqe_mix", "maclip", *list_metrics("arniqa*")]
)
def test_published_files_are_those_that_are_pinned_and_tell_photographs_apart(name: str) -> None:
    scores = create_metric(name).score(photographs(384, 512))
    assert torch.isfinite(scores).all()
    assert scores.std() > 1e-3


@pytest.mark.parametrize(
    ("name", "lowest", "highest"), [("clip_score", 5, 45), ("hpsv2.1", 0.05, 0.45), ("pickscore", 10, 30)]
)
def test_a_prompt_that_fits_scores_higher_than_another(name: str, lowest: float, highest: float) -> None:
    metric = create_metric(name)
    images = photographs(384, 512)
    right, wrong = (metric(images, prompt) for prompt in ("A photo of a cat.", "A bowl of soup on a table."))
    assert lowest < right.max() < highest
    assert (right > wrong).any()
