"""With checkpointing an encoder gives the same gradients and keeps less for them."""

from __future__ import annotations

import pytest
import torch

from perceptmetrics.seeding import seeded
from tests import tiny_clip
from tests.tiny_lora import clip, matrices_of, random


@pytest.fixture(scope="module", autouse=True)
def tiny_architectures(tmp_path_factory):
    tiny_clip.register(tmp_path_factory.mktemp("configurations"))


def step(checkpointing, dropout):
    """Features, gradients, and how many numbers were kept for them."""
    with seeded(0):
        encoder, _ = clip(dropout)
    encoder.train()
    encoder.checkpointing = checkpointing
    for _, *matrices in matrices_of(encoder):
        for matrix in matrices:
            matrix.requires_grad_()
    kept = {}

    def keep(tensor):
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with seeded(1):
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            features = encoder(random(4, 3, 64, 64))
        features.square().sum().backward()
    own = {parameter.data_ptr() for parameter in encoder.parameters()}
    gradients = [matrix.grad for _, *matrices in matrices_of(encoder) for matrix in matrices]
    return features.detach(), gradients, sum(count for place, count in kept.items() if place not in own)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_checkpointing_changes_memory_and_nothing_else(dropout):
    """The dropout of a block that is computed again is that of the first time."""
    features, gradients, kept = step(False, dropout)
    again, same, fewer = step(True, dropout)
    assert torch.equal(features, again)
    assert len(gradients) == 18
    for one, other in zip(gradients, same, strict=True):
        assert one.abs().max() > 0
        torch.testing.assert_close(one, other)
    assert fewer < 0.6 * kept


def test_nothing_is_computed_again_without_gradients(monkeypatch):
    encoder, _ = clip()
    encoder.checkpointing = True
    monkeypatch.setattr("perceptmetrics.backbones.clip_vit.checkpoint", None)
    with torch.no_grad():
        assert encoder(random(1, 3, 64, 64)).isfinite().all()


def test_an_encoder_keeps_everything_unless_asked():
    assert clip()[0].checkpointing is False
