"""With checkpointing an encoder gives the same gradients and keeps less for them."""

from __future__ import annotations

import pytest
import torch

from perceptmetrics._util.seeding import seeded
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.models.encoders import ClipVisionTransformer
from perceptmetrics.models.encoders.timm_networks import TimmPooled
from perceptmetrics.models.lora import attach_lora
from tests.support import small_clip
from tests.support.adapted_encoders import matrices_of, random, spec_of, switch_on, timm_vit
from tests.support.mean_colour_metric import MeanColour
from tests.support.small_clip import VIT


@pytest.fixture(scope="module", autouse=True)
def tiny_architectures(tmp_path_factory):
    small_clip.register(tmp_path_factory.mktemp("configurations"))


def build(kind, dropout=0.0):
    if kind == "clip":
        encoder = ClipVisionTransformer(small_clip.build(VIT).visual, "keep")
    else:
        encoder = TimmPooled(timm_vit(img_size=64, dynamic_img_size=True), convolutional=False, any_size=True)
    with seeded(0):
        attach_lora(encoder, spec_of(dropout=dropout))
    return switch_on(encoder.requires_grad_(False))


def step(kind, checkpointing, dropout):
    """Features, gradients, and how many numbers were kept for them."""
    encoder = build(kind, dropout)
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
@pytest.mark.parametrize("kind", ["clip", "timm"])
def test_checkpointing_changes_memory_and_nothing_else(kind, dropout):
    """The dropout of a block that is computed again is that of the first time."""
    features, gradients, kept = step(kind, False, dropout)
    again, same, fewer = step(kind, True, dropout)
    assert torch.equal(features, again)
    assert len(gradients) == {"clip": 18, "timm": 12}[kind]
    for one, other in zip(gradients, same, strict=True):
        assert one.abs().max() > 0
        torch.testing.assert_close(one, other)
    assert fewer < 0.6 * kept


def test_it_can_be_switched_off_again():
    encoder = build("timm")
    assert encoder.checkpointing is False
    encoder.checkpointing = True
    assert encoder.checkpointing is encoder.network.grad_checkpointing is True
    encoder.checkpointing = False
    assert encoder.checkpointing is encoder.network.grad_checkpointing is False


def test_nothing_is_computed_again_without_gradients(monkeypatch):
    encoder = build("clip")
    encoder.checkpointing = True
    monkeypatch.setattr("perceptmetrics.models.encoders.clip_vit.checkpoint", None)
    with torch.no_grad():
        assert encoder(random(1, 3, 64, 64)).isfinite().all()


def test_an_encoder_that_cannot_do_it_says_so():
    encoder = MeanColour()
    encoder.checkpointing = False
    with pytest.raises(InvalidOptionError, match="MeanColour cannot compute its activations again"):
        encoder.checkpointing = True
    assert encoder.checkpointing is False
