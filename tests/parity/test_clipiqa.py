"""clipiqa on full-size RN50 equals an independent implementation, and would not if it made a likely mistake."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from piq.feature_extractors import clip as openai_clip
from safetensors.torch import save_file
from torch import Tensor, nn

from perceptmetrics import Metric, create_metric
from tests.parity.reference_clipiqa import build_reference, reference_score
from tests.support.full_size_clip import random_clip_state
from tests.support.photographs import photographs

TOLERANCE = 1e-5
SIZES = [(224, 224), (384, 512)]
LARGE = (1024, 1024)


@pytest.fixture(scope="module")
def reference() -> openai_clip.CLIP:
    return build_reference(random_clip_state())


@pytest.fixture(scope="module")
def metric(tmp_path_factory: pytest.TempPathFactory) -> Metric:
    path = tmp_path_factory.mktemp("weights") / "open_clip_model.safetensors"
    save_file(random_clip_state(), path)
    return create_metric("clipiqa", backbone_checkpoint=path)


@pytest.mark.parametrize(
    ("size", "batch"),
    [*product(SIZES, (1, 4)), (LARGE, 1), pytest.param(LARGE, 4, marks=pytest.mark.slow)],
    ids=str,
)
def test_scores_equal_the_reference(
    metric: Metric, reference: openai_clip.CLIP, size: tuple[int, int], batch: int
) -> None:
    images = photographs(*size)[:batch]
    with torch.inference_mode():
        difference = (metric(images) - reference_score(reference, images)).abs().max()
    assert difference <= TOLERANCE


@pytest.mark.parametrize("size", [*SIZES, pytest.param(LARGE, marks=pytest.mark.slow)], ids=str)
def test_gradients_equal_the_reference(metric: Metric, reference: openai_clip.CLIP, size: tuple[int, int]) -> None:
    images = photographs(*size)[:1]
    gradients = [gradient(score, images) for score in (metric, lambda x: reference_score(reference, x))]
    assert gradients[0].norm() > 0
    assert torch.cosine_similarity(*(g.flatten() for g in gradients), dim=0) >= 0.9999
    torch.testing.assert_close(gradients[0].norm(), gradients[1].norm(), rtol=1e-3, atol=0)


def gradient(score: nn.Module, images: Tensor) -> Tensor:
    images = images.clone().requires_grad_()
    score(images).sum().backward()
    assert images.grad is not None
    return images.grad


class TestPower:
    """The comparison above would notice each of these by more than a hundred tolerances."""

    def test_scores_spread_over_photographs(self, metric: Metric) -> None:
        assert metric.score(photographs(224, 224)).std() > 0.05

    def test_positional_embedding_kept(self, reference: openai_clip.CLIP) -> None:
        self.assert_noticed(reference, positional=True)

    def test_wrong_mean_and_std(self, reference: openai_clip.CLIP) -> None:
        self.assert_noticed(reference, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

    def test_missing_logit_scale(self, reference: openai_clip.CLIP) -> None:
        self.assert_noticed(reference, scaled=False)

    def test_gelu_for_quick_gelu(self, reference: openai_clip.CLIP, monkeypatch: pytest.MonkeyPatch) -> None:
        images = photographs(224, 224)
        right = reference_score(reference, images)
        monkeypatch.setattr(openai_clip.QuickGELU, "forward", lambda _, x: nn.functional.gelu(x))
        assert (reference_score(reference, images) - right).abs().max() > 100 * TOLERANCE

    def assert_noticed(self, reference: openai_clip.CLIP, **mistake: object) -> None:
        images = photographs(224, 224)
        wrong = reference_score(reference, images, **mistake)
        assert (wrong - reference_score(reference, images)).abs().max() > 100 * TOLERANCE
